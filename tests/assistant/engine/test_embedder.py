"""The embedding engine: turns, a full queue, a job that is dropped, an end, and its budget."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from assistant.engine.budget import check_embedding_memory
from assistant.engine.embedder import BATCH_TOKENS, Embedder, unit
from assistant.engine.loaded import EngineSettings, LoadedEmbedder, LoadedModel, open_model
from assistant.errors import EngineClosedError, MemoryBudgetError, PromptTooLongError, QueueFullError
from models.errors import ModelFileError, RuntimeFailure
from models.gguf_header import read_header
from models.memory import estimate_embedding_memory
from models.runtime.errors import UnknownTokenError
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.assistant.conftest import IGNORED
from tests.assistant.engine.test_budget import MIDDLE
from tests.models.control_groups import control_group
from tests.models.llama_in_numpy import llama_hidden, weights_of

SHAPE = Shape(context=1024)
SLOW = Shape(hidden_size=512, layers=6, ffn_size=2048, heads=8, kv_heads=4, head_dim=64, context=2048)
LONG = [[7] * 2000]

LOAD = """
import sys
from pathlib import Path
from assistant.engine.loaded import EngineSettings, LoadedEmbedder
from models.runtime.library import llama
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))) * 1024
llama()
before = resident()
with LoadedEmbedder.open(Path(sys.argv[1]), EngineSettings(context_tokens=1024, threads=1)) as loaded:
    loaded.embedder.submit([[7] * 1024]).vectors.result()
    print(resident() - before)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedEmbedder]:
    path = write_gguf(tmp_path_factory.mktemp("embedder") / "m.gguf", SHAPE, pooling="mean")
    with LoadedEmbedder.open(path, EngineSettings(threads=1)) as opened:
        yield opened


@pytest.fixture(scope="module")
def slow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("embedder") / "slow.gguf", SLOW, pooling="last")


@pytest.fixture
def slow(slow_path: Path) -> Iterator[Embedder]:
    with LoadedEmbedder.open(slow_path, EngineSettings(threads=1, queue_limit=2)) as opened:
        yield opened.embedder


def until_it_decodes(embedder: Embedder) -> None:
    while not embedder.stats().running:
        time.sleep(0.001)


def test_vectors_are_the_directions_of_the_means_however_texts_are_batched(loaded: LoadedEmbedder) -> None:
    weights = weights_of(SHAPE)
    texts = [[0, *(6 + n % 500 for n in range(length))] for length in (1, 90, 7, 200, 400, 3, 600, 2)]
    together = loaded.embedder.submit(texts).vectors.result(60)
    alone = np.stack([loaded.embedder.submit([tokens]).vectors.result(60)[0] for tokens in texts])
    assert together.shape == (8, SHAPE.hidden_size)
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-6
    assert (together * alone).sum(1).min() > 0.9999
    for vector, tokens in zip(together, texts, strict=True):
        wanted = llama_hidden(SHAPE, weights, tokens).mean(0)
        assert vector @ wanted / np.linalg.norm(wanted) > 0.9999


def test_many_short_texts_share_a_decode(loaded: LoadedEmbedder) -> None:
    before = loaded.stats().steps
    loaded.embedder.submit([[0, 9]] * 100).vectors.result(60)
    assert loaded.stats().steps - before == 2  # 64 sequences, then the rest
    loaded.embedder.submit([[0] * (BATCH_TOKENS // 2)] * 4).vectors.result(60)
    assert loaded.stats().steps - before == 4


def test_a_single_text_does_not_wait_for_a_long_list(slow: Embedder) -> None:
    ended: list[str] = []
    several = slow.submit([[7] * 500] * 6)
    until_it_decodes(slow)
    one = slow.submit([[7] * 5])
    for name, job in (("several", several), ("one", one)):
        note(job.vectors, ended, name)
    several.vectors.result(60)
    assert ended == ["one", "several"]


def note(future: "Future[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]", ended: list[str], name: str) -> None:
    future.add_done_callback(lambda _: ended.append(name))


def test_dropping_a_job_ends_its_decode_at_once_and_the_next_is_right(slow: Embedder) -> None:
    wanted = slow.submit([[5, 6, 7]]).vectors.result(60)
    long = slow.submit(LONG)
    until_it_decodes(slow)
    waiting, kept = slow.submit(LONG), slow.submit([[5, 6, 7]])
    began = time.monotonic()
    slow.cancel(waiting)
    slow.cancel(long)
    assert np.array_equal(kept.vectors.result(60), wanted)
    assert time.monotonic() - began < 0.5
    assert slow.stats().aborted_steps == 1
    assert not long.vectors.done()
    slow.cancel(kept)  # it has ended: nothing is left that could hit another
    assert np.array_equal(slow.submit([[5, 6, 7]]).vectors.result(60), wanted)


def test_a_full_queue_is_refused_and_an_end_fails_what_is_left(slow_path: Path) -> None:
    with LoadedEmbedder.open(slow_path, EngineSettings(threads=1, queue_limit=2)) as opened:
        jobs = [opened.embedder.submit(LONG)]
        until_it_decodes(opened.embedder)
        jobs += [opened.embedder.submit(LONG) for _ in range(2)]
        assert (opened.stats().running, opened.stats().waiting) == (1, 2)
        with pytest.raises(QueueFullError, match="2 requests wait already"):
            opened.embedder.submit(LONG)
    for job in jobs:
        with pytest.raises(EngineClosedError, match="shutting down"):
            job.vectors.result(1)
    with pytest.raises(EngineClosedError):
        opened.embedder.submit(LONG)


def test_texts_that_cannot_be_read_are_refused_with_numbers(loaded: LoadedEmbedder) -> None:
    with pytest.raises(PromptTooLongError, match="input 1 has 1025 tokens and the model reads 1024 at once"):
        loaded.embedder.submit([[6], [6] * 1025])
    with pytest.raises(UnknownTokenError, match="token id 512 is outside"):
        loaded.embedder.submit([[512]])
    assert loaded.most_tokens == 1024


def test_a_vector_without_a_direction_is_an_error() -> None:
    for bad in ([0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]):
        with pytest.raises(RuntimeFailure, match="without a direction"):
            unit(np.array([[3.0, 4.0], bad], np.float32))
    assert unit(np.array([3.0, 4.0], np.float32)).tolist() == pytest.approx([0.6, 0.8])


def test_a_file_is_opened_as_what_it_is(tmp_path: Path, tiny_model: Path) -> None:
    settings = EngineSettings(context_tokens=256, sequences=1, threads=1)
    for path, kind in (
        (tiny_model, LoadedModel),
        (write_gguf(tmp_path / "m.gguf", SHAPE, pooling="cls"), LoadedEmbedder),
    ):
        with open_model(path, settings) as opened:
            assert isinstance(opened, kind)
    with pytest.raises(ModelFileError, match=r"r.gguf is a reranker, which is not served"):
        open_model(write_gguf(tmp_path / "r.gguf", SHAPE, pooling="rank"), settings)


def test_the_estimate_is_what_a_loaded_model_holds(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", MIDDLE, "q4_0", pooling="mean")
    command = [sys.executable, *IGNORED, "-c", LOAD, str(path)]
    measured = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    estimate = estimate_embedding_memory(read_header(path), 1024, n_seq_max=64)
    assert estimate.load_peak_bytes == pytest.approx(measured, rel=0.1)


def test_what_does_not_fit_is_refused_with_the_longest_text_that_does(slow_path: Path, tmp_path: Path) -> None:
    limit = estimate_embedding_memory(read_header(slow_path), 1024, n_seq_max=64).total_bytes
    root = control_group(tmp_path, str(limit), 0)
    check_embedding_memory(slow_path, 1024, n_seq_max=64, root=root)
    with pytest.raises(MemoryBudgetError, match=r"slow.gguf with a context of 2048 tokens takes") as caught:
        check_embedding_memory(slow_path, 2048, n_seq_max=64, root=root)
    told = re.search(r"use --context (\d+) or less", str(caught.value))
    assert told is not None
    assert int(told[1]) == 1024

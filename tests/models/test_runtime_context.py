"""Several sequences in one cache: sharing, saving, aborting, and running out of room."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from models.errors import RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import ContextFull, DecodeAborted
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

PREFIX = list(range(10, 40))
TAILS = [[50, 51, 52], [60, 61], [70, 71, 72, 73]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model.load(write_gguf(tmp_path_factory.mktemp("context") / "m.gguf", Shape())) as opened:
        yield opened


def feed(context: Context, tokens: list[int], start: int = 0, seq: int = 0) -> NDArray[np.float32]:
    """Decode `tokens` in one batch and return the logits after the last."""
    with Batch(len(tokens)) as batch:
        for offset, token in enumerate(tokens):
            row = batch.add(token, start + offset, [seq], offset == len(tokens) - 1)
        context.decode(batch)
        return context.logits(row)


def alone(model: Model, tokens: list[int]) -> NDArray[np.float32]:
    with Context(model, 256, threads=1) as context:
        return feed(context, tokens)


def test_a_mixed_batch_of_sequences_equals_each_alone(model: Model) -> None:
    with Context(model, 256, n_seq_max=3, threads=1) as context, Batch(64, 3) as batch:
        rows = []
        for seq, tail in enumerate(TAILS):
            tokens = PREFIX[: 5 * (seq + 1)] + tail
            for position, token in enumerate(tokens):
                row = batch.add(token, position, [seq], position == len(tokens) - 1)
            rows.append(row)
        context.decode(batch)
        for seq, tail in enumerate(TAILS):
            assert np.abs(context.logits(rows[seq]) - alone(model, PREFIX[: 5 * (seq + 1)] + tail)).max() < 1e-5


def test_a_shared_prefix_equals_plain_decoding(model: Model) -> None:
    with Context(model, 256, n_seq_max=3, threads=1) as context:
        feed(context, PREFIX)
        for seq in (1, 2):
            context.seq_cp(0, seq)
        for seq, tail in enumerate(TAILS):
            difference = feed(context, tail, len(PREFIX), seq) - alone_in_two_steps(model, tail)
            assert np.abs(difference).max() <= 3e-7
        assert [context.seq_pos_max(seq) for seq in range(3)] == [len(PREFIX) + len(tail) - 1 for tail in TAILS]


def alone_in_two_steps(model: Model, tail: list[int]) -> NDArray[np.float32]:
    with Context(model, 256, threads=1) as context:
        feed(context, PREFIX)
        return feed(context, tail, len(PREFIX))


def test_dropping_positions_lets_the_rest_be_decoded_again(model: Model) -> None:
    with Context(model, 256, threads=1) as context:
        first = feed(context, PREFIX)
        context.seq_rm(0, 20)
        assert context.seq_pos_max(0) == 19
        assert np.abs(feed(context, PREFIX[20:], 20) - first).max() < 1e-5
        context.clear()
        assert context.seq_pos_max(0) == -1


def test_state_moves_to_another_sequence_and_context(model: Model) -> None:
    with Context(model, 256, threads=1) as context:
        feed(context, PREFIX)
        state = context.save_state(0)
        expected = feed(context, TAILS[0], len(PREFIX))
    with Context(model, 256, n_seq_max=2, threads=1) as other:
        feed(other, TAILS[1])
        other.load_state(1, state)
        assert other.seq_pos_max(1) == len(PREFIX) - 1
        assert np.abs(feed(other, TAILS[0], len(PREFIX), 1) - expected).max() < 1e-5


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_state_is_refused_and_leaves_the_context_usable(model: Model, keep: int) -> None:
    with Context(model, 256, threads=1) as context:
        feed(context, PREFIX)
        state = context.save_state(0)
        with pytest.raises(RuntimeFailure, match="does not fit this context"):
            context.load_state(0, state[:keep])
        context.clear()
        assert np.abs(feed(context, TAILS[0]) - alone(model, TAILS[0])).max() < 1e-5


def test_a_full_context_says_so_and_changes_nothing(model: Model) -> None:
    with Context(model, 256, n_batch=256, threads=1) as context:
        feed(context, list(range(100, 250)))
        with pytest.raises(ContextFull, match="no room for 150 tokens in the context of 256"):
            feed(context, list(range(100, 250)), 150)
        assert context.seq_pos_max(0) == 149


def test_bad_requests_are_errors_not_crashes(model: Model) -> None:
    with Context(model, 64, threads=1) as context, Batch(2) as batch:
        with pytest.raises(RuntimeFailure, match="no logits for row 0"):
            context.logits(0)
        with pytest.raises(RuntimeFailure, match="sequence 1 is outside 0 to 0"):
            context.seq_cp(0, 1)
        batch.add(5, 0, [0], False)
        batch.add(model.n_vocab, 1, [0], True)
        with pytest.raises(ContextFull, match="holds its 2 tokens"):
            batch.add(5, 2, [0], False)
        with pytest.raises(RuntimeFailure, match="cannot decode 2 tokens"):
            context.decode(batch)
        batch.clear()
        with pytest.raises(RuntimeFailure, match="cannot decode 0 tokens"):
            context.decode(batch)
        with pytest.raises(ContextFull, match="a token in 2 sequences"):
            batch.add(5, 0, [0, 1], False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kv_type": "f8"}, "KV type 'f8' is unknown"),
        ({"threads": 0}, "0 threads are not possible"),
        ({"threads": 100_000}, "100000 threads are not possible"),
        ({"n_seq_max": 0}, "64 tokens and 0 sequences .* impossible"),
        ({"n_seq_max": 300}, "n_seq_max must be <= 256"),
        ({"n_ctx": 2**31}, "2147483648 tokens .* is impossible"),
    ],
)
def test_impossible_contexts_are_errors_not_crashes(model: Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        Context(model, **{"n_ctx": 64, **options})


def test_a_model_without_weights_cannot_decode(model: Model) -> None:
    with Model.load(model.path, vocab_only=True) as empty, pytest.raises(RuntimeFailure, match="without its weights"):
        Context(empty, 64)


def test_embeddings_are_read_beside_logits(model: Model) -> None:
    with Context(model, 64, threads=1, embeddings=True) as context, Batch(1) as batch:
        row = batch.add(5, 0, [0], True)
        context.decode(batch)
        assert context.embedding(row).shape == (64,)
        assert np.isfinite(context.embedding(row)).all()


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    shape = Shape(hidden_size=512, layers=6, ffn_size=2048, heads=8, kv_heads=4, head_dim=64, context=4096)
    with Model.load(write_gguf(tmp_path_factory.mktemp("slow") / "m.gguf", shape)) as opened:
        yield opened


def test_abort_ends_a_long_prefill_within_250_ms_and_the_sequence_goes_on(slow_model: Model) -> None:
    tokens = np.random.default_rng(0).integers(6, 500, 4096).tolist()
    set_at: list[float] = []
    with Context(slow_model, 4096, n_batch=4096, n_ubatch=128, threads=1) as context:

        def stop() -> None:
            set_at.append(time.monotonic())
            context.abort()

        timer = threading.Timer(0.5, stop)
        timer.start()
        with pytest.raises(DecodeAborted):
            feed(context, tokens)
        assert time.monotonic() - set_at[0] < 0.25
        timer.join()
        held = context.seq_pos_max(0) + 1
        assert 0 < held < len(tokens)
        assert held % 128 == 0  # the micro-batch that was cut off left nothing behind
        resumed = feed(context, tokens[held : held + 40], held)
        context.clear()
        assert np.abs(resumed - feed(context, tokens[: held + 40])).max() < 1e-2


def test_an_abort_before_a_decode_stops_it_once(model: Model) -> None:
    with Context(model, 64, threads=1) as context:
        context.abort()
        with pytest.raises(DecodeAborted, match="before it began"):
            feed(context, TAILS[0])
        assert context.seq_pos_max(0) == -1
        feed(context, TAILS[0])
        context.abort()
        context.reset_abort()
        feed(context, TAILS[1], 3)


def test_contexts_and_batches_give_their_memory_back(model: Model) -> None:
    def cycle(times: int) -> int:
        for _ in range(times):
            with Context(model, 512, threads=1) as context, Batch(512, 4):
                feed(context, TAILS[0])
        return int(psutil.Process().memory_info().rss)

    before = cycle(5)
    assert cycle(40) - before < 8 * 2**20


def test_threads_can_change_between_decodes(model: Model, tmp_path: Path) -> None:
    with Context(model, 64, threads=2) as context:
        feed(context, TAILS[0])
        context.set_threads(1)
        assert context.threads == 1
        assert np.abs(feed(context, TAILS[1], 3) - alone_after(model, TAILS[0], TAILS[1])).max() < 1e-5


def alone_after(model: Model, first: list[int], second: list[int]) -> NDArray[np.float32]:
    with Context(model, 64, threads=1) as context:
        feed(context, first)
        return feed(context, second, len(first))

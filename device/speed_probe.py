"""What llama.cpp's own kernels do on this board: five small files of random weights, timed before any model is here.

The two widest kinds of matrices that the catalogue holds (a layer of Llama 3 8B, four of Llama 3.2 1B), each larger than the
caches of a board; an output matrix alone; and two files that are attention and little else, with heads of 64 and of 128.
Their vocabularies are as small as one can be where the output is not what is timed, since their prompts ask for every row's
logits: llama.cpp leaves out the last FFN of the other rows, and with it half of what a file of one layer computes.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device.errors import MemoryShortError
from device.unit_costs import MICRO_BATCH_TOKENS, Timed, UnitCosts, fit_unit_costs
from device.workload import workload_of_header
from models.disk import show_bytes
from models.free_memory import free_memory_bytes
from models.gguf_header import read_header
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.model import Model
from models.runtime.sampler import Sampler
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

Say = Callable[[str], None]
"""Called with what is being measured."""
_NEEDED_BYTES = 512 << 20
_SMALLEST_VOCABULARY = 264
_DEEP_TOKENS = 2 * MICRO_BATCH_TOKENS - 128
"""The cache is looked through in whole blocks of 256: in the middle of one its average is met."""
_WARM_UP_TOKENS = 4


@dataclass(frozen=True)
class Probe:
    """One file, and what is timed with it besides a token of an answer."""

    name: str
    shape: Shape
    prompt: bool = False
    deep: bool = False


def _shape(hidden: int, layers: int, ffn: int, heads: tuple[int, int, int], vocab: int = _SMALLEST_VOCABULARY) -> Shape:
    return Shape(vocab, hidden, layers, ffn, *heads, context=2 * MICRO_BATCH_TOKENS)


PROBES = (
    Probe("a wide layer", _shape(4096, 1, 14336, (32, 8, 128)), prompt=True),
    Probe("narrow layers", _shape(2048, 4, 8192, (32, 8, 64)), prompt=True),
    Probe("an output matrix", _shape(4096, 1, 256, (8, 2, 128), 32768)),
    Probe("attention, heads of 128", _shape(64, 2, 64, (32, 8, 128)), prompt=True, deep=True),
    Probe("attention, heads of 64", _shape(64, 8, 64, (32, 8, 64)), prompt=True, deep=True),
)
ANSWER_TOKENS, PROMPT_RUNS = 48, 2


def measure_unit_costs(threads: int, say: Say) -> UnitCosts:
    """Write, time and remove the files, one after the other, in the folder for temporary files.

    Raises:
        MemoryShortError: less than 512 MiB are free.
        StorageError, RuntimeFailure: a file cannot be written or run.
    """
    free_bytes = free_memory_bytes()
    if free_bytes < _NEEDED_BYTES:
        raise MemoryShortError(
            f"{show_bytes(free_bytes)} of memory are free and measuring speed needs {show_bytes(_NEEDED_BYTES)};"
            " end other programs"
        )
    timed = []
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        for probe in PROBES:
            say(f"measuring {probe.name}")
            path = write_gguf(Path(folder) / "probe.gguf", probe.shape, "q4_0")
            timed.append(time_probe(path, probe, threads))
            path.unlink()
    return fit_unit_costs(timed, threads)


def time_probe(path: Path, probe: Probe, threads: int) -> Timed:
    """Time the file at `path`, which is of the probe's shape."""
    work = workload_of_header(read_header(path))
    assert work is not None
    size = MICRO_BATCH_TOKENS
    with Model.load(path) as model, Context(model, 2 * size, n_batch=size, threads=threads) as context:
        token_s = _token_s(context, 0)
        if not probe.prompt:
            return Timed(work, token_s)
        _prompt_s(context, 0)  # the first one reads the weights into memory
        prompt_s = statistics.median(_prompt_s(context, 0) for _ in range(PROMPT_RUNS))
        if not probe.deep:
            return Timed(work, token_s, size, prompt_s)
        return Timed(
            work,
            token_s,
            size,
            prompt_s,
            deep_tokens=_DEEP_TOKENS,
            deep_prompt_s=statistics.median(_prompt_s(context, _DEEP_TOKENS - size) for _ in range(PROMPT_RUNS)),
            deep_answer_token_s=_token_s(context, _DEEP_TOKENS),
        )


def _token_s(context: Context, cached: int) -> float:
    """Median seconds of a token behind `cached` others, decoded and chosen as an answer's are."""
    _drop(context, cached)
    times = []
    with Sampler() as sampler, Batch(1) as batch:
        for position in range(cached, cached + _WARM_UP_TOKENS + ANSWER_TOKENS):
            started = time.perf_counter()
            batch.clear()
            batch.add(_token(context, position), position, [0], True)
            context.decode(batch)
            sampler.sample(context, 0)
            times.append(time.perf_counter() - started)
    return statistics.median(times[_WARM_UP_TOKENS:])


def _prompt_s(context: Context, cached: int) -> float:
    """Seconds of a micro-batch behind `cached` others, every row with logits."""
    _drop(context, cached)
    with Batch(MICRO_BATCH_TOKENS) as batch:
        for position in range(cached, cached + MICRO_BATCH_TOKENS):
            batch.add(_token(context, position), position, [0], True)
        started = time.perf_counter()
        context.decode(batch)
        context.logits_in_place(MICRO_BATCH_TOKENS - 1)  # a GPU has finished when the logits are here
        return time.perf_counter() - started


def _drop(context: Context, cached: int) -> None:
    """Keep the first `cached` tokens, decoding them where they are not there."""
    held = context.seq_pos_max(0) + 1
    if held > cached:
        context.seq_rm(0, cached)
        held = cached
    with Batch(MICRO_BATCH_TOKENS) as batch:
        while held < cached:
            batch.clear()
            for position in range(held, min(cached, held + MICRO_BATCH_TOKENS)):
                batch.add(_token(context, position), position, [0], False)
            context.decode(batch)
            held += len(batch)


def _token(context: Context, position: int) -> int:
    """Any token: which one makes no difference to the time."""
    return position % context.model.n_vocab

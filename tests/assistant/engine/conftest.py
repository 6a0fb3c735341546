"""Small models on one thread, and what to compare answers with."""

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from assistant.engine.request import Event, Failed, Finished, Piece, Request, Ticket
from assistant.engine.rows import RowCosts
from assistant.engine.scheduler import Scheduler
from assistant.engine.states import StateCache
from models.resolve import resolve_gguf
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler, SamplingOptions

N_CTX = 1024
COSTS = RowCosts(
    {1: 0.00058, 2: 0.00094, 3: 0.00131, 4: 0.00098, 5: 0.0014, 8: 0.0019, 16: 0.00248, 64: 0.009, 128: 0.018}
)
"""In the ratios of an 8B shape on two cores: three rows cost more than four."""
TEXT = "Croup is an infection of the upper airway that makes a child cough like a seal. Give dexamethasone once."


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Iterator[Model]:
    """Random weights in float32: whatever the rows of a decode, its logits are the same to 1e-6."""
    with Model.load(tiny_model) as opened:
        yield opened


@pytest.fixture(scope="session")
def reference() -> Iterator[Model]:
    with Model.load(resolve_gguf("reference")) as opened:
        yield opened


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    with open_context(model, n_seq_max=5) as opened:
        yield opened


@pytest.fixture
def scheduler(context: Context) -> Iterator[Scheduler]:
    with scheduler_on(context) as opened:
        yield opened


def open_context(model: Model, n_seq_max: int, n_batch: int = 128) -> Context:
    """In float32 throughout, so that only float32 weights decide how closely two ways to compute agree."""
    return Context(model, N_CTX, n_seq_max, n_batch, threads=1, kv_type="f32", flash_attention=False)


@contextmanager
def scheduler_on(context: Context) -> Iterator[Scheduler]:
    opened = Scheduler(context, COSTS, states=StateCache(2**24), queue_limit=8)
    try:
        yield opened
    finally:
        opened.close()


class Asked:
    """One request and the events that came of it."""

    def __init__(self, scheduler: Scheduler, request: Request) -> None:
        self._queue: queue.Queue[Event] = queue.Queue()
        self.events: list[Event] = []
        self.ticket = Ticket(request, self._queue.put)
        scheduler.submit(self.ticket)

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event of that kind; fails where the end comes before it."""
        while True:
            event = self._queue.get(timeout=60)
            self.events.append(event)
            if wanted(event):
                return event
            assert not isinstance(event, Finished | Failed), event

    def end(self) -> Finished:
        event = self.until(lambda event: isinstance(event, Finished | Failed))
        assert isinstance(event, Finished), event
        return event

    @property
    def tokens(self) -> list[int]:
        return [token for event in self.events if isinstance(event, Piece) for token in event.tokens]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Piece))


def prompt_of(model: Model, text: str) -> tuple[int, ...]:
    return tuple(model.tokenize(text, add_bos=True, parse_special=False))


def alone(model: Model, request: Request) -> list[int]:
    """One token after the other, by the runtime's own loop."""
    with open_context(model, 1) as context, Sampler(request.options) as sampler:
        return list(generate(context, request.prompt, sampler, request.max_tokens))


def all_logits(model: Model, tokens: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Logits after each token (tokens, n_vocab), in one batch of their own."""
    with open_context(model, 1, n_batch=len(tokens)) as context, Batch(len(tokens)) as batch:
        for position, token in enumerate(tokens):
            batch.add(token, position, [0], True)
        context.decode(batch)
        return np.stack([context.logits(row) for row in range(len(tokens))])


def rounding(model: Model, tokens: Sequence[int]) -> float:
    """The largest difference of a logit by the rows of a decode: 4 against 1, and 64, where other kernels come in.

    On x86 the reference file's logits are the same bits for 1 to 16 rows, and differ by 0.15 for 64.
    """
    one = _logits(model, tokens, 1)
    return max(float(np.abs(_logits(model, tokens, rows) - one).max()) for rows in (4, 64))


def same_up_to_rounding(model: Model, prompt: Sequence[int], found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Equal, or first different where the top two logits lie closer than twice the rounding of the file."""
    if list(found) == list(wanted):
        return True
    # Where one is longer the other's end was chosen in its place.
    place = next(
        (i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted))
    )
    tokens = [*prompt, *wanted[:place]]
    second, first = np.sort(_logits(model, tokens, 1)[-1])[-2:]
    return bool(first - second <= 2 * rounding(model, tokens))


def _logits(model: Model, tokens: Sequence[int], rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Logits after each token, in the cache that a server has."""
    found = []
    with Context(model, N_CTX, threads=1) as context, Batch(rows) as batch:
        for start in range(0, len(tokens), rows):
            batch.clear()
            for place, token in enumerate(tokens[start : start + rows]):
                batch.add(token, start + place, [0], True)
            context.decode(batch)
            found += [context.logits(row) for row in range(len(batch))]
    return np.stack(found)


def sampled(prompt: tuple[int, ...], count: int, seed: int = 1, *, drafting: bool = True) -> Request:
    """Random choices, so that an answer mixed up with another could not be right by chance."""
    options = SamplingOptions(temperature=0.4, top_k=8, seed=seed)
    return Request(prompt, count, options, drafting=drafting)

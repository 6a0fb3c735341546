"""The same request with the same seed, alone: the same bits, whatever the engine did before."""

from collections.abc import Iterator

import pytest

from assistant.engine.request import Piece, Request, Ticket
from assistant.engine.rows import SMALL_ROWS, RowCosts
from assistant.engine.running import Running
from assistant.engine.scheduler import Scheduler
from assistant.engine.slots import Slot
from assistant.engine.states import StateCache
from assistant.engine.step import next_parts
from models.runtime.context import Context
from models.runtime.model import Model
from models.runtime.sampler import SamplingOptions
from tests.assistant.engine.conftest import COSTS, N_CTX, TEXT, Asked, prompt_of, sampled

TIMES = 10


@pytest.fixture(params=["model", "reference"])
def server(request: pytest.FixtureRequest) -> Iterator[Scheduler]:
    """As it is served: two threads, flash attention, a cache of 16 bits, and less memory than is put aside."""
    with Context(request.getfixturevalue(request.param), N_CTX, 5, threads=2, n_ubatch=128) as context:
        scheduler = Scheduler(context, COSTS, states=StateCache(2**21), queue_limit=8)
        try:
            yield scheduler
        finally:
            scheduler.close()


def model_of(scheduler: Scheduler) -> Model:
    return scheduler._context.model


def prompt_for(scheduler: Scheduler, length: int) -> tuple[int, ...]:
    return (prompt_of(model_of(scheduler), TEXT) * 20)[:length]


def test_a_seed_gives_the_same_answer_each_time_when_alone(server: Scheduler) -> None:
    """Long enough a prompt that threads share its attention, and that its last piece is a short one."""
    prompt = prompt_for(server, 340)
    options = SamplingOptions(temperature=0.8, top_k=0, top_p=1.0, min_p=0.0, seed=7)
    told = []
    for turn in range(TIMES):
        told.append(told_of(server, Request(prompt, 24, options, logprobs=0)))
        others = [Request(prompt[turn : turn + 40 + 25 * turn], 12), Request((*prompt[: 30 * turn], 7), 6 + turn)]
        for each in [Asked(server, other) for other in others]:
            each.end()
    assert all(each == told[0] for each in told)


def told_of(scheduler: Scheduler, request: Request) -> list[tuple[int, float]]:
    """Each token with the very number of its probability."""
    asked = Asked(scheduler, request)
    found = asked.end()
    assert (found.cached_tokens, found.drafted_tokens) == (0, 0)
    return [(each.token, each.logprob) for event in asked.events if isinstance(event, Piece) for each in event.logprobs]


def test_what_was_put_aside_for_a_seed_comes_back(server: Scheduler) -> None:
    prompt = prompt_for(server, 150)
    Asked(server, Request(prompt, 4)).end()
    Asked(server, sampled((5, 6, 7), 4)).end()
    assert Asked(server, Request(prompt, 4)).end().cached_tokens == len(prompt) - 1


def test_beside_another_a_seed_takes_what_was_read(server: Scheduler) -> None:
    prompt = prompt_for(server, 150)
    Asked(server, Request(prompt, 4)).end()
    beside = Asked(server, Request((5, 6, 7), 300, SamplingOptions(logit_bias=((model_of(server).eos or 0, -100.0),))))
    beside.until(lambda event: isinstance(event, Piece))
    assert Asked(server, sampled(prompt, 4)).end().cached_tokens == len(prompt) - 1
    server.cancel(beside.ticket)
    beside.end()


def test_steps_go_by_the_machine_and_not_by_the_moment() -> None:
    """As slow as it may be now, and though a padding row would pay."""
    running = Running.start(Ticket(Request((1,) * 100, 9), print), Slot(0), reproducible=True)
    slow = RowCosts({1: 0.1, 2: 0.01, 16: 0.8})  # 64 rows would take 3.6 s
    for limit_s in (0.01, 10.0):
        assert parts_of(running, COSTS, limit_s) == [100 - 36]
        assert parts_of(running, slow, limit_s) == [SMALL_ROWS]
    running.waiting, running.written = [5], [5]
    assert parts_of(running, slow, 10.0) == [1]


def parts_of(running: Running, costs: RowCosts, limit_s: float) -> list[int]:
    parts, padding = next_parts([running], costs, limit_s=limit_s, most=128)
    assert padding == 0
    return [len(tokens) for _, tokens in parts]

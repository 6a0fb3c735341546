"""A step that one of several leaves: given up where it has long to go, and begun again by the others."""

import threading
from collections.abc import Callable

import pytest

from assistant.engine.rows import RowCosts
from assistant.engine.scheduler import CANCEL_S, Scheduler
from assistant.engine.states import StateCache
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.model import Model
from tests.assistant.engine.conftest import N_CTX, TEXT, Asked, alone, prompt_of, sampled

StartAnswers = Callable[[float, int], tuple[Scheduler, Asked, list[Asked]]]


@pytest.fixture
def start(model: Model, context: Context, monkeypatch: pytest.MonkeyPatch) -> StartAnswers:
    """A scheduler that takes its steps for so many seconds long, with one who stays and so many who leave.

    They leave one by one, each within a decode for several, the first to come first.
    """
    decode, prompt = Context.decode, prompt_of(model, TEXT)

    def start_answers(step_s: float, count: int) -> tuple[Scheduler, Asked, list[Asked]]:
        scheduler = Scheduler(context, RowCosts({1: step_s, N_CTX: step_s}), states=StateCache(2**24), queue_limit=8)
        writes, all_there, staying = threading.Event(), threading.Event(), list[Asked]()

        def leave(self: Context, batch: Batch) -> None:
            if scheduler.stats().steps:
                writes.set()
                all_there.wait()
            if staying and scheduler.stats().running > 1:
                scheduler.cancel(staying.pop(0).ticket)
            decode(self, batch)

        monkeypatch.setattr(Context, "decode", leave)
        kept = Asked(scheduler, sampled(prompt[:7], 40, drafting=False))
        writes.wait()
        leaving = [Asked(scheduler, sampled((400 + each, *prompt), 40, drafting=False)) for each in range(count)]
        staying += leaving
        all_there.set()
        return scheduler, kept, leaving

    return start_answers


@pytest.mark.parametrize("long", [True, False])
def test_a_step_that_has_long_to_go_is_begun_again_without_who_leaves(
    model: Model, start: StartAnswers, long: bool
) -> None:
    scheduler, kept, [left] = start(4 * CANCEL_S if long else CANCEL_S / 2, 1)
    assert left.end().reason == "cancelled"
    kept.end()
    scheduler.close()
    assert scheduler.stats().aborted_steps == long
    assert kept.tokens == alone(model, kept.ticket.request)


def test_who_leaves_a_step_that_is_begun_again_does_not_end_it(model: Model, start: StartAnswers) -> None:
    """Otherwise who asks and cancels without end would keep the others from ever moving on."""
    scheduler, kept, left = start(4 * CANCEL_S, 2)
    assert [each.end().reason for each in left] == ["cancelled", "cancelled"]
    kept.end()
    scheduler.close()
    assert scheduler.stats().aborted_steps == 1
    assert kept.tokens == alone(model, kept.ticket.request)

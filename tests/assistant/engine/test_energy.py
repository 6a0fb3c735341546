"""What requests cost: the engine's own steps over a meter, and nothing booked without one."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.engine.embedder import Embedder
from assistant.engine.loaded import EngineSettings, LoadedEmbedder
from assistant.engine.request import Piece
from assistant.engine.scheduler import Scheduler
from assistant.engine.states import StateCache
from device.attribution import Attribution, spent
from device.monitor import Monitor
from device.reading import Meter, Reading
from models.runtime.context import Context
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.assistant.engine.conftest import COSTS, TEXT, Asked, prompt_of, sampled
from tests.device.meters import SUPPLY

SELDOM = replace(SUPPLY, period_s=100.0)
"""Two samples, one before and one after all steps, may be joined however slow the machine is."""
QUICK = replace(SUPPLY, period_s=1e-6)


class Metered:
    """A scheduler whose meter says what a test tells it; the times of its steps."""

    def __init__(self, context: Context, meter: Meter = SELDOM) -> None:
        self._times_s: list[float] = []
        self.attribution = Attribution(meter, self._clock)
        self.monitor = Monitor()  # never started
        self.monitor.attribution = self.attribution
        self.scheduler = Scheduler(context, COSTS, states=StateCache(2**24), queue_limit=8, monitor=self.monitor)

    def _clock(self) -> float:
        self._times_s.append(time.monotonic())
        return self._times_s[-1]

    @property
    def steps(self) -> list[tuple[float, float]]:
        """The clock is looked at when a step begins and when it ends."""
        return list(zip(self._times_s[::2], self._times_s[1::2], strict=True))


def test_concurrent_requests_sum_to_what_was_drawn_over_the_steps(context: Context, model: Model) -> None:
    """Power rises evenly, so that a step costs its length times the power in its middle."""
    metered = Metered(context)
    began_s = time.monotonic()
    metered.attribution.add_sample(began_s, Reading(5.0))
    prompts = [prompt_of(model, TEXT), prompt_of(model, TEXT[30:] * 3), prompt_of(model, "Croup")]
    asked = [Asked(metered.scheduler, sampled(prompt, 40)) for prompt in prompts]
    ended = [each.end() for each in asked]
    metered.scheduler.close()
    ended_s = time.monotonic()
    metered.attribution.add_sample(ended_s, Reading(9.0))
    expected_j = sum(
        (end_s - start_s) * (5.0 + 4.0 * ((start_s + end_s) / 2 - began_s) / (ended_s - began_s))
        for start_s, end_s in metered.steps
    )
    shares_j = [each.account.joules for each in ended if each.account is not None]
    assert len(shares_j) == 3
    assert min(shares_j) > 0
    assert metered.attribution.totals().joules == pytest.approx(expected_j)
    assert sum(shares_j) == pytest.approx(expected_j)
    assert all(each.account is not None and each.account.is_settled for each in ended)


def test_a_request_alone_has_the_watts_of_the_board(context: Context, model: Model) -> None:
    metered = Metered(context, QUICK)
    metered.attribution.add_sample(time.monotonic(), Reading(6.0))
    end = Asked(metered.scheduler, sampled(prompt_of(model, TEXT), 5)).end()
    metered.scheduler.close()
    metered.attribution.add_sample(time.monotonic(), Reading(6.0))
    found = spent([end.account])
    assert end.account is not None
    assert found is not None
    assert found.watts == pytest.approx(6.0)
    assert found.joules == pytest.approx(6.0 * sum(end_s - start_s for start_s, end_s in metered.steps))


def test_without_a_meter_nothing_is_booked(context: Context, model: Model) -> None:
    monitor = Monitor()
    scheduler = Scheduler(context, COSTS, states=StateCache(2**24), queue_limit=8, monitor=monitor)
    try:
        assert Asked(scheduler, sampled(prompt_of(model, TEXT), 5)).end().account is None
    finally:
        scheduler.close()


def test_who_began_before_the_meter_came_has_no_figure_and_who_comes_later_has(context: Context, model: Model) -> None:
    metered = Metered(context, QUICK)
    metered.monitor.attribution = None
    first = Asked(metered.scheduler, sampled(prompt_of(model, TEXT), 200))
    first.until(lambda event: isinstance(event, Piece))
    metered.attribution.add_sample(time.monotonic(), Reading(6.0))
    metered.monitor.attribution = metered.attribution
    second = Asked(metered.scheduler, sampled(prompt_of(model, "Croup"), 5))
    ended = first.end(), second.end()
    metered.scheduler.close()
    metered.attribution.add_sample(time.monotonic(), Reading(6.0))
    assert spent([ended[0].account]) is None
    assert spent([ended[1].account]) is not None


def test_embeddings_count_in_the_whole(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", Shape(context=1024), pooling="mean")
    monitor = Monitor()
    attribution = monitor.attribution = Attribution(SELDOM)
    began_s = time.monotonic()
    attribution.add_sample(began_s, Reading(6.0))
    with LoadedEmbedder.open(path, EngineSettings(threads=1), monitor) as loaded:
        assert isinstance(loaded.embedder, Embedder)
        loaded.embedder.submit([[7] * 300]).vectors.result()
    ended_s = time.monotonic()
    attribution.add_sample(ended_s, Reading(6.0))
    assert 0 < attribution.totals().joules < 6.0 * (ended_s - began_s)

"""The sampler: when it looks, what it keeps, what it survives, and how it ends. Nothing here sleeps."""

import random
import threading
from dataclasses import replace

import numpy as np
import pytest

from device.energy import Window, examine, window_energy
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Reading
from device.sampler import FAILURE_CAPACITY, JITTER, Sampler
from tests.device.meters import PLAIN, Clock, Following, Script

FIVE = Reading(power_w=5.0)


def run(*answers: Reading | Exception, clock: Clock | None = None, capacity: int = 100) -> Sampler:
    """A sampler that has run in this thread until the answers were used up."""
    clock = clock or Clock()
    sampler = Sampler(
        Script(*answers), clock=clock, cpu_clock=lambda: 0.0, wait=clock.waits(len(answers)), capacity=capacity
    )
    sampler.run()
    return sampler


def test_a_sample_stands_in_the_middle_of_its_look() -> None:
    clock = Clock(now_s=100.0, tick_s=0.25)  # read at the beginning, then before (100.5) and after (100.75) the look
    trace = run(FIVE, clock=clock).trace()
    assert trace.times_s.tolist() == [100.625]
    assert trace.read_s.tolist() == [0.25]
    assert trace.power_w.tolist() == [5.0]
    assert trace.meter is PLAIN


def test_the_period_is_jittered_by_thirty_percent_and_kept_on_average() -> None:
    clock = Clock()
    wait = clock.waits(2000)
    Sampler(Following(lambda _: 5.0, clock), clock=clock, wait=wait, chance=random.Random(1)).run()
    waited = np.array(clock.waited_s)
    assert waited.min() >= 0.1 * (1 - JITTER) - 1e-9
    assert waited.max() <= 0.1 * (1 + JITTER) + 1e-9
    assert waited.min() < 0.071
    assert waited.max() > 0.129
    assert waited.mean() == pytest.approx(0.1, rel=0.02)


def test_a_period_of_its_own_is_that_of_the_trace() -> None:
    clock = Clock()
    sampler = Sampler(Following(lambda _: 5.0, clock), period_s=2.0, clock=clock, wait=clock.waits(200))
    sampler.run()
    assert np.mean(clock.waited_s) == pytest.approx(2.0, rel=0.05)
    trace = sampler.trace()
    assert trace.meter == replace(PLAIN, period_s=2.0)
    assert examine(trace, Window(101.0, 300.0)).is_valid


def test_the_time_of_a_look_is_part_of_the_period() -> None:
    clock = Clock(tick_s=0.02)
    Sampler(Following(lambda _: 5.0, clock), clock=clock, wait=clock.waits(500)).run()
    assert (clock.now_s - 100.0) / 500 == pytest.approx(0.1, rel=0.03)


def test_a_rhythm_of_half_the_period_does_not_lock() -> None:
    """Tokens of 50 ms, 15 W for one half and 5 W for the other: an even 10 Hz would always see the same half."""
    clock = Clock()
    source = Following(lambda now_s: 15.0 if now_s % 0.05 < 0.025 else 5.0, clock)
    sampler = Sampler(source, clock=clock, wait=clock.waits(3000), chance=random.Random(2))
    sampler.run()
    energy = window_energy(sampler.trace(), Window(101.0, 351.0))
    assert energy.mean_w == pytest.approx(10.0, rel=0.05)


def test_a_look_that_took_long_is_not_made_up_for() -> None:
    clock = Clock(tick_s=1.0)
    Sampler(Following(lambda _: 5.0, clock), clock=clock, wait=clock.waits(3)).run()
    assert clock.waited_s == [0.0, 0.0, 0.0]


def test_energy_is_kept_as_the_counter_that_it_is() -> None:
    trace = run(Reading(energy_j=7.0), Reading(power_w=2.0, energy_j=9.5)).trace()
    assert trace.energy_j.tolist() == [7.0, 9.5]
    assert np.isnan(trace.power_w[0])
    assert trace.power_w[1] == 2.0


def test_failed_looks_are_kept_with_their_time_and_do_not_end_it() -> None:
    sampler = run(FIVE, ReadingError("in1_input: no data"), FIVE)
    trace = sampler.trace()
    assert len(trace.times_s) == 2
    (failure,) = trace.failures
    assert failure.reason == "in1_input: no data"
    assert trace.times_s[0] < failure.time_s < trace.times_s[1]
    assert trace.ended is None


@pytest.mark.parametrize("reading", [Reading(), Reading(power_w=float("nan")), Reading(power_w=1.0, energy_j=np.inf)])
def test_a_reading_without_a_number_is_a_failure(reading: Reading) -> None:
    trace = run(reading).trace()
    assert len(trace.times_s) == 0
    assert "neither power nor energy" in trace.failures[0].reason


def test_a_zero_is_a_reading() -> None:
    assert run(Reading(power_w=0.0)).trace().power_w.tolist() == [0.0]


def test_it_ends_with_the_reason_when_the_meter_goes_away() -> None:
    trace = run(FIVE, SourceUnavailableError("hwmon1 is gone", "plug it in"), FIVE).trace()
    assert len(trace.times_s) == 1
    assert trace.ended == "hwmon1 is gone; plug it in"


def test_a_fault_of_the_source_itself_is_a_reason_too() -> None:
    trace = run(FIVE, ZeroDivisionError("division by zero"), FIVE).trace()
    assert trace.ended == "replay failed (ZeroDivisionError: division by zero)"


def test_memory_is_bounded_and_what_falls_out_is_counted() -> None:
    trace = run(*(Reading(power_w=float(index)) for index in range(23)), capacity=10).trace()
    assert trace.power_w.tolist() == [float(index) for index in range(13, 23)]
    assert np.all(np.diff(trace.times_s) > 0)
    assert trace.fallen_out == 13


def test_a_full_ring_has_lost_nothing() -> None:
    trace = run(*(Reading(power_w=float(index)) for index in range(10)), capacity=10).trace()
    assert trace.power_w.tolist() == [float(index) for index in range(10)]
    assert trace.fallen_out == 0


def test_failures_are_bounded_too() -> None:
    trace = run(*(ReadingError(str(index)) for index in range(FAILURE_CAPACITY + 3))).trace()
    assert len(trace.failures) == FAILURE_CAPACITY
    assert trace.failures[0].reason == "3"
    assert trace.failures_fallen_out == 3


def test_cost_is_computing_time_over_time_passed() -> None:
    clock, computed = Clock(), iter([0.5, 0.501, 0.502])
    sampler = Sampler(
        Script(FIVE, FIVE), period_s=1.0, clock=clock, cpu_clock=lambda: next(computed), wait=clock.waits(2)
    )
    assert sampler.trace().cost.share is None
    sampler.run()
    cost = sampler.trace().cost
    assert cost.cpu_s == pytest.approx(0.002)
    assert cost.wall_s == pytest.approx(clock.waited_s[0])
    assert cost.share == pytest.approx(0.002 / clock.waited_s[0])


def test_the_latest_reading_is_at_hand() -> None:
    last = Reading(power_w=6.0, rails_w={"VDD_SOC": 1.5})
    sampler = run(FIVE, last, ReadingError("no"))
    assert sampler.latest is last


class Gate:
    """A source whose looks begin and return when a test says so."""

    meter = PLAIN

    def __init__(self) -> None:
        self.looking, self.may_return = threading.Event(), threading.Event()

    def read(self) -> Reading:
        self.looking.set()
        self.may_return.wait(20)
        return FIVE

    def close(self) -> None:
        """Holds nothing."""


def test_the_thread_starts_and_stops_cleanly() -> None:
    gate = Gate()
    before = threading.active_count()
    with Sampler(gate, period_s=60.0) as sampler:
        assert gate.looking.wait(20)
        gate.may_return.set()
    trace = sampler.stop()
    assert threading.active_count() == before
    assert trace.ended is None
    assert len(trace.times_s) == 1


def test_stopping_does_not_wait_for_a_look_that_hangs() -> None:
    gate = Gate()
    sampler = Sampler(gate)
    sampler.start()
    assert gate.looking.wait(20)
    trace = sampler.stop(leave_s=0.0)
    assert trace.ended == "a look at replay has not returned for 0 s"
    gate.may_return.set()


def test_a_sampler_that_never_started_stops() -> None:
    assert len(Sampler(Script()).stop().times_s) == 0

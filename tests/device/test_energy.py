"""Energy in windows: closed forms, the recorded traces, properties, and what is refused."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.energy import Window, counter_j, examine, gap_limit_s, integral_j, window_energy
from device.reading import Meter
from device.trace import Failure, Numbers, Trace, make_trace
from tests.device.meters import PLAIN, PMIC, jittered

SECONDS = Meter("replay", "VDD_IN", "module", "measured", period_s=1.0)


def steady(power_w: float, start_s: float = 0.0, end_s: float = 20.0, meter: Meter = PLAIN) -> Trace:
    times = jittered(start_s, end_s, meter.period_s)
    return make_trace(meter, times, np.full(len(times), power_w))


def without(trace: Trace, start_s: float, end_s: float) -> Trace:
    """The trace with a hole in it."""
    kept = (trace.times_s <= start_s) | (trace.times_s >= end_s)
    return make_trace(trace.meter, trace.times_s[kept], trace.power_w[kept])


def shared_power() -> Path:
    return Path(os.environ["BEDSIDE_DATA"]).parent / "fixtures" / "power"


def recorded(name: str) -> tuple[Numbers, Numbers]:
    """Times and watts of a recorded trace."""
    with (shared_power() / "traces" / name).open(encoding="utf-8") as stream:
        rows = [(float(row["t_s"]), float(row["p_w"])) for row in csv.DictReader(stream)]
    times, powers = np.array(rows).T
    return times, powers


def expected(name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((shared_power() / "EXPECTED.json").read_text("utf-8"))[f"traces/{name}"]
    return found


shared = pytest.mark.shared
needs_data = pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set")


@shared
@needs_data
@pytest.mark.parametrize(
    ("name", "window", "figure"),
    [
        ("ramp.csv", Window(2.5, 7.5), "J"),
        ("uneven.csv", Window(0, 3), "J"),
        ("ina_lag.csv", Window(0, 10), "window_only_gross_J"),
    ],
)
def test_recorded_traces_give_their_energy(name: str, window: Window, figure: str) -> None:
    result = window_energy(make_trace(SECONDS, *recorded(name)), window)
    assert result.validity.is_valid
    assert result.energy_j == pytest.approx(expected(name)[figure], rel=1e-3)


@shared
@needs_data
def test_the_mean_of_uneven_samples_is_not_their_energy() -> None:
    times, powers = recorded("uneven.csv")
    wrong = expected("uneven.csv")["mean_of_samples_times_span_J_wrong"]
    assert powers.mean() * np.ptp(times) == pytest.approx(wrong)
    assert integral_j(times, powers, Window(0, 3)) != pytest.approx(wrong, rel=0.05)


@shared
@needs_data
def test_a_recorded_gap_is_refused_with_its_length() -> None:
    result = window_energy(make_trace(PLAIN, *recorded("gap.csv")), Window(0, 5))
    assert result.energy_j is None
    assert result.mean_w is None
    assert not result.validity.is_valid
    assert result.validity.largest_gap_s == pytest.approx(expected("gap.csv")["max_gap_s"])
    assert result.validity.coverage == pytest.approx(0.4)
    assert result.validity.samples == 22


@shared
@needs_data
def test_recorded_time_that_goes_back_is_refused() -> None:
    result = window_energy(make_trace(SECONDS, *recorded("backwards.csv")), Window(0, 2))
    assert result.energy_j is None
    assert result.validity.reasons == ("time stood still or went back between two samples",)
    assert result.validity.coverage == 0.0


def test_edges_are_interpolated() -> None:
    times, powers = np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 0.0])
    assert integral_j(times, powers, Window(0.5, 1.0)) == pytest.approx(3.75)
    assert integral_j(times, powers, Window(0.9, 0.95)) == pytest.approx(0.4625)


def test_a_counter_is_a_difference_and_not_an_integral() -> None:
    times, joules = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1000.0, 1010.0, 1011.0, 1031.0])
    assert counter_j(times, joules, Window(0.5, 2.5)) == pytest.approx(16.0)
    # Power samples beside it, which say otherwise, do not count for energy; but the peak is what they say.
    result = window_energy(make_trace(SECONDS, times, np.full(4, 99.0), joules), Window(0.5, 2.5))
    assert result.energy_j == pytest.approx(16.0)
    assert result.peak_w == pytest.approx(99.0)
    assert window_energy(make_trace(SECONDS, times, None, joules), Window(0.5, 2.5)).peak_w == pytest.approx(20.0)
    assert result.mean_w == pytest.approx(8.0)


def test_the_peak_of_a_counter_is_that_of_the_window_too() -> None:
    trace = make_trace(SECONDS, np.arange(6.0), None, np.array([0.0, 90.0, 95.0, 107.0, 110.0, 190.0]))
    assert window_energy(trace, Window(1.5, 3.5)).peak_w == pytest.approx(12.0)


def test_a_counter_that_is_not_always_there_is_not_used() -> None:
    trace = make_trace(SECONDS, np.arange(4.0), np.full(4, 5.0), np.array([0.0, np.nan, 7.0, 8.0]))
    assert window_energy(trace, Window(0, 3)).energy_j == pytest.approx(15.0)


def test_a_counter_that_goes_back_is_refused_where_it_does() -> None:
    trace = make_trace(SECONDS, np.arange(6.0), None, np.array([50.0, 60.0, 0.0, 5.0, 10.0, 15.0]))
    assert window_energy(trace, Window(0.5, 4)).validity.reasons == ("the energy counter went back",)
    assert window_energy(trace, Window(2, 4)).energy_j == pytest.approx(10.0)


def test_the_peak_is_that_of_the_window() -> None:
    times = np.arange(0, 10, 0.5)
    powers = np.where(times == 2.0, 30.0, np.where(times == 8.0, 50.0, 5.0))
    assert window_energy(make_trace(PLAIN, times, powers), Window(1, 7)).peak_w == 30.0


@pytest.mark.parametrize(("meter", "limit_s"), [(PLAIN, 1.0), (PMIC, 1.0), (SECONDS, 5.0)])
def test_a_gap_may_be_five_periods_or_a_second(meter: Meter, limit_s: float) -> None:
    assert gap_limit_s(meter) == pytest.approx(limit_s)
    edge = np.array([0.0, limit_s, 2 * limit_s])
    assert examine(make_trace(meter, edge, np.ones(3)), Window(0.1, 2 * limit_s)).is_valid
    beyond = np.array([0.0, limit_s * 1.01, 2 * limit_s])
    record = examine(make_trace(meter, beyond, np.ones(3)), Window(0.1, 2 * limit_s))
    assert not record.is_valid
    assert record.largest_gap_s == pytest.approx(limit_s * 1.01)


def test_a_gap_counts_where_it_reaches_into_the_window_only() -> None:
    trace = without(steady(5.0), 8.0, 12.0)
    assert window_energy(trace, Window(1.0, 7.0)).energy_j == pytest.approx(30.0)
    assert window_energy(trace, Window(13.0, 19.0)).energy_j == pytest.approx(30.0)
    record = examine(trace, Window(1.0, 9.0))
    assert record.largest_gap_s == pytest.approx(4.1, abs=0.15)
    assert record.coverage == pytest.approx(7 / 8, abs=0.02)
    assert record.reasons[0].startswith("no sample for 4")
    assert not examine(trace, Window(9.0, 11.0)).is_valid
    assert examine(trace, Window(9.0, 11.0)).coverage == 0.0


def test_a_gap_that_ends_where_the_window_begins_is_outside() -> None:
    trace = make_trace(PLAIN, np.array([0.0, 3.0, 3.5, 4.0, 8.0]), np.full(5, 2.0))
    result = window_energy(trace, Window(3.0, 4.0))
    assert result.energy_j == pytest.approx(2.0)
    assert result.validity.largest_gap_s == 0.5


@pytest.mark.parametrize("window", [Window(-0.3, 5), Window(15, 20.5), Window(30, 31), Window(-9, -8)])
def test_samples_must_reach_both_edges(window: Window) -> None:
    trace = steady(5.0)
    result = window_energy(trace, window)
    assert result.energy_j is None
    assert "no sample" in result.validity.reasons[0]
    with pytest.raises(ValueError, match="do not reach"):
        integral_j(trace.times_s, trace.power_w, window)


def test_nothing_sampled_is_invalid() -> None:
    record = examine(make_trace(PLAIN, np.array([])), Window(0, 3))
    assert record.reasons == ("no sample in the window",)
    assert (record.samples, record.coverage, record.largest_gap_s) == (0, 0.0, 3)


def test_the_record_counts_errors_and_says_why_samples_are_missing() -> None:
    whole = steady(5.0, end_s=10.0)
    failures = tuple(Failure(time, "no data") for time in (-1.0, 3.0, 4.0, 50.0))
    trace = Trace(
        PLAIN, whole.times_s, whole.power_w, whole.energy_j, whole.read_s + 0.02, failures, 7, 0, "the meter is gone"
    )
    record = examine(trace, Window(1, 9))
    assert (record.errors, record.longest_read_s, record.is_valid) == (2, 0.02, True)
    late = examine(trace, Window(5, 15)).reasons
    assert "7 older samples were no longer remembered" in late
    assert "sampling ended: the meter is gone" in late
    assert examine(trace, Window(1, 9)).with_reasons("throttled").reasons == ("throttled",)


@pytest.mark.parametrize("end_s", [1.0, 0.5, float("nan")])
def test_a_window_ends_after_it_begins(end_s: float) -> None:
    with pytest.raises(ValueError, match="ends after it begins"):
        Window(1.0, end_s)


SEEDS = st.integers(0, 2**32 - 1)
POWERS = st.floats(0.1, 100.0)


def wandering(seed: int) -> tuple[Numbers, Numbers]:
    times = jittered(0.0, 12.0, 0.1, seed)
    return times, np.random.default_rng(seed).uniform(0.5, 20.0, len(times))


@given(SEEDS, st.floats(0.0, 4.0), st.floats(0.01, 0.99), st.floats(0.1, 8.0))
def test_the_parts_of_a_window_add_up(seed: int, start_s: float, share: float, duration_s: float) -> None:
    times, powers = wandering(seed)
    end_s = start_s + duration_s
    middle_s = start_s + share * duration_s
    parts = [integral_j(times, powers, Window(*edges)) for edges in ((start_s, middle_s), (middle_s, end_s))]
    assert sum(parts) == pytest.approx(integral_j(times, powers, Window(start_s, end_s)), rel=1e-9)


@given(SEEDS, POWERS, st.floats(0.0, 4.0), st.floats(0.05, 8.0))
def test_constant_power_is_power_times_time_whatever_the_jitter(
    seed: int, power_w: float, start_s: float, duration_s: float
) -> None:
    times = jittered(0.0, 12.0, 0.1, seed)
    window = Window(start_s, start_s + duration_s)
    by_power = window_energy(make_trace(PLAIN, times, np.full(len(times), power_w)), window)
    by_counter = window_energy(make_trace(PLAIN, times, None, 1e6 + power_w * times), window)
    assert by_power.energy_j == pytest.approx(power_w * window.duration_s, rel=1e-9)
    assert by_counter.energy_j == pytest.approx(power_w * window.duration_s, rel=1e-6, abs=1e-6)
    assert by_power.peak_w == pytest.approx(power_w)


@given(SEEDS, st.floats(0.01, 100.0))
def test_twice_the_power_is_twice_the_energy(seed: int, factor: float) -> None:
    times, powers = wandering(seed)
    window = Window(1.03, 9.77)
    assert integral_j(times, factor * powers, window) == pytest.approx(
        factor * integral_j(times, powers, window), rel=1e-9
    )


@given(SEEDS, st.floats(-1e6, 1e6))
def test_the_beginning_of_time_does_not_matter(seed: int, shift_s: float) -> None:
    times, powers = wandering(seed)
    moved = integral_j(times + shift_s, powers, Window(1.5 + shift_s, 9.5 + shift_s))
    assert moved == pytest.approx(integral_j(times, powers, Window(1.5, 9.5)), rel=1e-6)


@given(st.lists(POWERS, min_size=3, max_size=8), st.lists(st.floats(0.0, 1.0), max_size=40))
def test_where_samples_lie_does_not_matter_to_straight_pieces(corners: list[float], extra: list[float]) -> None:
    knots = np.arange(len(corners), dtype=np.float64)
    times = np.unique(np.concatenate((knots, np.array(extra) * (len(corners) - 1))))
    sampled = np.interp(times, knots, corners)
    window = Window(0.25, len(corners) - 1.25)
    assert integral_j(times, sampled, window) == pytest.approx(integral_j(knots, np.array(corners), window), rel=1e-9)

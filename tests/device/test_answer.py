"""What answers cost: the published table from simulated sensors, lag, drift, and every refusal."""

import os
from typing import NamedTuple

import numpy as np
import pytest

from device.answer import AnswerEnergy, AnswerFigures, answer_energy, filter_note, tail_s
from device.energy import Window, window_energy
from device.reading import Meter
from device.statistics import summarize
from device.trace import Numbers, Trace, make_trace
from tests.device.meters import INA3221, PMIC, SUPPLY, jittered, smoothed
from tests.device.test_energy import expected, recorded, without

BEFORE, START_S = Window(0.0, 60.0), 61.0
TAU_S = 0.43


class Row(NamedTuple):
    """A row of the paper's table II, and the net efficiency that follows from it."""

    meter: Meter
    idle_w: float
    inference_w: float
    tokens_per_s: float
    printed: str
    net: float


ROWS = {
    "Llama, Jetson": Row(INA3221, 5.0, 18.7, 22.3, "5.0 18.7 22.3 1.2", 1.63),
    "Gemma, Jetson": Row(INA3221, 5.0, 17.4, 11.6, "5.0 17.4 11.6 0.7", 0.94),
    "Llama, Pi": Row(PMIC, 1.5, 6.2, 5.3, "1.5 6.2 5.3 0.9", 1.13),
    "Gemma, Pi": Row(PMIC, 1.5, 6.3, 5.3, "1.5 6.3 5.3 0.8", 1.10),
}


class Run(NamedTuple):
    """A simulated answer and the windows around it."""

    trace: Trace
    answer: Window
    after: Window

    def energy(self, tokens: int = 100) -> AnswerEnergy:
        return answer_energy(self.trace, self.answer, tokens, BEFORE, self.after)


def simulate(
    meter: Meter,
    idle_w: float,
    load_w: float,
    duration_s: float = 10.0,
    *,
    drift: float = 0.0,
    seed: int = 0,
    step_w: float = 0.0,
) -> Run:
    """Idle, an answer, idle; idle power moves by `drift` from one idle window's middle to the other's.

    A filtered sensor smooths, and shows whole steps of `step_w`: 40 mW are those of an INA3221 on a 5 V rail.
    """
    answer = Window(START_S, START_S + duration_s)
    after = Window(answer.end_s + 3.0, answer.end_s + 63.0)
    slope_w = idle_w * drift / (after.middle_s - BEFORE.middle_s)

    def power_w(times_s: Numbers) -> Numbers:
        idling = idle_w + slope_w * (times_s - answer.middle_s)
        return np.where((times_s >= answer.start_s) & (times_s < answer.end_s), load_w, idling)

    times = jittered(-1.0, after.end_s + 1.0, meter.period_s, seed)
    shown = power_w(times) if meter.filter is None else smoothed(power_w, times, TAU_S)
    if step_w:
        shown = np.round(shown / step_w) * step_w
    return Run(make_trace(meter, times, shown), answer, after)


def figures(run: Run, tokens: int = 100) -> AnswerFigures:
    found = run.energy(tokens)
    assert found.figures is not None, found.validity.reasons
    return found.figures


@pytest.mark.parametrize("name", ROWS)
def test_the_published_table_is_reproduced(name: str) -> None:
    row = ROWS[name]
    tokens = round(row.tokens_per_s * 10)
    step_w = 0.0 if row.meter.filter is None else 0.04
    runs = [simulate(row.meter, row.idle_w, row.inference_w, drift=0.04, seed=seed, step_w=step_w) for seed in range(6)]
    each = [figures(run, tokens) for run in runs]
    idle, inference, efficiency, net = (
        summarize([getattr(one, field) for one in each]).median
        for field in ("idle_w", "inference_w", "tokens_per_joule", "net_tokens_per_joule")
    )
    tokens_per_s = tokens / runs[0].answer.duration_s
    assert f"{idle:.1f} {inference:.1f} {tokens_per_s:.1f} {efficiency:.1f}" == row.printed
    assert efficiency == pytest.approx(tokens_per_s / inference, rel=2e-3)
    assert net == pytest.approx(row.tokens_per_s / (row.inference_w - row.idle_w), rel=5e-3)
    if row.meter is INA3221:
        assert f"{net:.2f}" == f"{row.net:.2f}"


def test_the_jetson_row_to_two_digits() -> None:
    found = figures(simulate(INA3221, 5.0, 18.7, drift=0.04), 223)
    assert f"{found.tokens_per_joule.value:.2f}" == "1.19"
    assert found.gross_j.value == pytest.approx(187.0, rel=1e-3)
    assert found.net_j.value == pytest.approx(137.0, rel=1e-3)
    assert found.joules_per_token.value == pytest.approx(187 / 223, rel=1e-3)
    assert found.peak_w.value == pytest.approx(18.7, abs=0.04)


@pytest.mark.parametrize("duration_s", [2.0, 10.0])
def test_without_a_tail_a_filtered_sensor_would_lose_its_lag(duration_s: float) -> None:
    run = simulate(INA3221, 5.0, 18.7, duration_s)
    window_only = window_energy(run.trace, run.answer).energy_j
    assert window_only is not None
    lost_j = 13.7 * TAU_S * (1 - np.exp(-duration_s / TAU_S))
    assert 18.7 * duration_s - window_only == pytest.approx(lost_j, rel=0.02)
    assert figures(run).net_j.value == pytest.approx(13.7 * duration_s, rel=2e-3)
    assert figures(run).gross_j.value == pytest.approx(18.7 * duration_s, rel=2e-3)


@pytest.mark.shared
@pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set")
def test_the_recorded_lag_is_undone() -> None:
    times, powers = recorded("ina_lag.csv")
    after = Window(10 + tail_s(INA3221), float(times[-1]))
    found = answer_energy(make_trace(INA3221, times, powers), Window(0, 10), 223, Window(-5, 0), after).figures
    assert found is not None
    assert found.gross_j.value == pytest.approx(expected("ina_lag.csv")["true_gross_J"], rel=1e-3)
    assert found.net_j.value == pytest.approx(expected("ina_lag.csv")["true_net_J"], rel=1e-3)


def test_an_unfiltered_sensor_is_right_on_average_over_answers() -> None:
    net = [figures(simulate(PMIC, 1.5, 6.2, 5.0, seed=seed)).net_j.value for seed in range(100)]
    assert np.mean(net) == pytest.approx(4.7 * 5.0, rel=4e-3)
    assert np.std(net) == pytest.approx(np.sqrt(2 / 12) * 4.7 * 0.2, rel=0.35)


def test_a_counter_gives_the_same() -> None:
    times = jittered(-1.0, 135.0, 0.1)
    counted = 5.0 * times + 1e5 + 13.7 * np.clip(times - START_S, 0.0, 10.0)
    found = answer_energy(
        make_trace(SUPPLY, times, None, counted), Window(START_S, START_S + 10), 223, BEFORE, Window(74.0, 134.0)
    ).figures
    assert found is not None
    assert found.gross_j.value == pytest.approx(187.0, rel=1e-6)
    assert found.net_j.value == pytest.approx(137.0, rel=1e-6)


def test_idle_is_that_of_the_moment_and_not_of_one_side() -> None:
    near, far = Window(0.0, 60.0), Window(160.0, 220.0)
    times = jittered(-1.0, 221.0, 0.1)
    idling = 5.0 + 0.001 * times
    powers = np.where((times >= 61) & (times < 71), 18.7, idling)
    found = answer_energy(make_trace(SUPPLY, times, powers), Window(61, 71), 223, near, far)
    assert found.figures is not None
    assert found.figures.idle_w.value == pytest.approx(5.066, abs=1e-3)
    assert found.idle_before_w == pytest.approx(5.030, abs=1e-3)
    assert found.idle_after_w == pytest.approx(5.190, abs=1e-3)


@pytest.mark.parametrize(("drift", "is_valid"), [(0.047, True), (-0.047, True), (0.054, False), (-0.054, False)])
def test_idle_that_drifts_by_more_than_five_percent_is_refused(drift: float, is_valid: bool) -> None:
    found = simulate(SUPPLY, 5.0, 18.7, drift=drift).energy()
    assert found.validity.is_valid is is_valid
    assert (found.figures is not None) is is_valid
    assert found.idle_before_w == pytest.approx(5.0 * (1 - drift / 2), rel=0.005)
    if not is_valid:
        assert "idle power drifted from" in found.validity.reasons[0]


@pytest.mark.parametrize(
    ("hole", "begins"),
    [
        ((20.0, 22.0), "idle before: no sample for 2"),
        ((65.0, 66.5), "no sample for 1.6"),
        ((100.0, 102.0), "idle after: no"),
    ],
)
def test_a_gap_anywhere_is_refused(hole: tuple[float, float], begins: str) -> None:
    run = simulate(SUPPLY, 5.0, 18.7)
    found = Run(without(run.trace, *hole), run.answer, run.after).energy()
    assert found.figures is None
    assert found.validity.reasons[0][: len(begins) - 2] == begins[:-2]


def test_a_gap_in_the_tail_is_refused() -> None:
    run = simulate(INA3221, 5.0, 18.7)
    assert Run(without(run.trace, 71.2, 72.9), run.answer, run.after).energy().figures is None


def test_time_that_goes_back_is_refused() -> None:
    run = simulate(SUPPLY, 5.0, 18.7)
    times = run.trace.times_s.copy()
    times[200] = times[198]
    found = Run(make_trace(SUPPLY, times, run.trace.power_w), run.answer, run.after).energy()
    assert found.figures is None
    assert "went back" in found.validity.reasons[0]


@pytest.mark.parametrize(("idle_w", "load_w", "says"), [(5.0, 5.0, "no more was drawn"), (0.0, 5.0, "not above zero")])
def test_powers_that_make_no_sense_are_refused(idle_w: float, load_w: float, says: str) -> None:
    found = simulate(SUPPLY, idle_w, load_w).energy()
    assert found.figures is None
    assert says in found.validity.reasons[0]


def test_windows_must_be_in_order() -> None:
    run = simulate(INA3221, 5.0, 18.7)
    with pytest.raises(ValueError, match="idles before the answer"):
        answer_energy(run.trace, run.answer, 100, Window(10, START_S + 1), run.after)
    in_its_tail = Window(run.answer.end_s + 2.0, run.after.end_s)
    with pytest.raises(ValueError, match="what the meter shows of it"):
        answer_energy(run.trace, run.answer, 100, BEFORE, in_its_tail)
    with pytest.raises(ValueError, match="at least one token"):
        run.energy(tokens=0)


def test_tails_and_notes_of_filters() -> None:
    assert tail_s(INA3221) == pytest.approx(2.58)
    assert tail_s(PMIC) == pytest.approx(0.3)
    assert filter_note(INA3221) == "0.43 s low-pass"
    assert filter_note(PMIC) is None


def test_the_sensors_own_error_goes_along() -> None:
    found = figures(simulate(INA3221, 5.0, 18.7), 223)
    assert found.inference_w.systematic == pytest.approx(0.234, abs=2e-3)
    assert found.gross_j.systematic == pytest.approx(2.34, abs=0.02)
    assert found.net_j.systematic == pytest.approx(10 * 13.7 * 0.008214, rel=0.01)
    assert found.tokens_per_joule.systematic == pytest.approx(1.1925 * 0.0125, rel=0.01)
    assert found.net_tokens_per_joule.systematic == pytest.approx(223 / 137 * 0.008214, rel=0.01)
    assert figures(simulate(PMIC, 1.5, 6.2)).net_j.systematic is None

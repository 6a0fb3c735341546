"""The published table from whole simulated runs, to the printed digit; what sampling costs; what is flagged."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from device.bench.series import Phase
from device.bench.settings import IDLE_S, Settings
from device.bench.table import idle_drift, sampling_cost, tabulate
from device.bench.views import print_report
from device.reading import Meter
from tests.device.bench.simulated import ClockedEngine, Machine, Simulation, report_of
from tests.device.meters import INA3221, PMIC


class Published(NamedTuple):
    """A row of the paper's table II."""

    meter: Meter
    idle_w: float
    inference_w: float
    tokens_per_s: float
    printed: str


ROWS = {
    "Llama, Jetson": Published(INA3221, 5.0, 18.7, 22.3, "5.0 18.7 22.3 1.2"),
    "Gemma, Jetson": Published(INA3221, 5.0, 17.4, 11.6, "5.0 17.4 11.6 0.7"),
    "Llama, Pi": Published(PMIC, 1.5, 6.2, 5.3, "1.5 6.2 5.3 0.9"),
    "Gemma, Pi": Published(PMIC, 1.5, 6.3, 5.3, "1.5 6.3 5.3 0.8"),
}
SECONDS = 20.0


def simulate(row: Published, drift_per_s: float = 4e-5, **settings: object) -> Simulation:
    """Six answers of 20 s, drifting by about 1.6 %, an INA3221 in its steps of 40 mW."""
    tokens = round(row.tokens_per_s * SECONDS)
    machine = Machine(row.idle_w, row.inference_w, drift_per_s=drift_per_s)
    engine = ClockedEngine(machine, prompt_s=2.0, token_s=(SECONDS - 2.0) / (tokens - 1))
    step_w = 0.0 if row.meter.filter is None else 0.04
    wanted = replace(Settings(tokens=tokens), **settings)  # type: ignore[arg-type]
    return Simulation(machine, engine, wanted, row.meter, step_w)


@pytest.mark.parametrize("name", ROWS)
def test_the_published_table_is_reproduced(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    simulation = simulate(ROWS[name])
    simulation.run.measure()
    report = report_of(simulation.run.series, simulation.settings, name.replace(", ", "-"))
    assert report.flags == ()
    row = report.table.row
    assert row.tokens_per_joule is not None
    assert (row.tokens_per_joule.count, row.tokens_per_joule.meter) == (6, ROWS[name].meter)
    expected = ROWS[name].tokens_per_s / ROWS[name].inference_w
    assert row.tokens_per_joule.median == pytest.approx(expected, rel=3e-3)
    print_report(report, tmp_path, ["bench.json"], None)  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "Model idle W inference W tokens/s tok/s/W".split()
    assert lines[1].split() == [name.replace(", ", "-"), *ROWS[name].printed.split()]


def test_figures_agree_with_closed_forms() -> None:
    simulation = simulate(ROWS["Llama, Jetson"], drift_per_s=0.0)
    simulation.run.measure()
    figures = tabulate(simulation.run.series, simulation.settings).figures
    medians = {name: statistic.median for name, statistic in figures.items() if statistic is not None}
    assert medians["answer_s"] == pytest.approx(20.0)
    assert medians["ttft_s"] == pytest.approx(2.0)
    assert medians["prompt_tokens_per_s"] == pytest.approx(64.0)
    assert medians["decode_tokens_per_s"] == pytest.approx(445 / 18.0)
    assert medians["tokens_per_s"] == pytest.approx(22.3)
    assert medians["gross_j"] == pytest.approx(374.0, rel=2e-3)
    assert medians["net_j"] == pytest.approx(274.0, rel=2e-3)
    assert medians["joules_per_token"] == pytest.approx(374 / 446, rel=2e-3)
    assert medians["net_joules_per_token"] == pytest.approx(274 / 446, rel=2e-3)
    assert medians["peak_w"] == pytest.approx(18.7, abs=0.05)
    gross = figures["gross_j"]
    assert gross is not None
    assert gross.interval is not None  # no answer holds what the sensor still shows of another, or of the warm-up
    assert gross.interval.high / gross.interval.low < 1.002
    assert medians["net_joules_per_token"] == pytest.approx(1 / medians["net_tokens_per_joule"], rel=1e-6)
    net = figures["net_joules_per_token"]
    assert net is not None
    assert net.systematic == pytest.approx(net.median * 0.0082, rel=0.02)


def test_what_sampling_costs_is_free_of_drift() -> None:
    """Answers get slower by themselves over the run; the sampled ones by 3 % more."""
    simulation = simulate(ROWS["Llama, Jetson"])
    simulation.engine.slower_when_sampled = 0.03
    simulation.run.measure()
    cost = tabulate(simulation.run.series, simulation.settings).figures["sampling_cost_share"]
    assert cost is not None
    assert (cost.unit, cost.count, cost.meter) == ("share", 6, None)
    assert cost.median == pytest.approx(1 - 1 / 1.03)
    drifting = [
        replace(answer, times=replace(answer.times, end_s=answer.times.end_s + 0.1 * number))
        for number, answer in enumerate(simulation.run.series.answers)
    ]
    pairs = sampling_cost(drifting)
    assert pairs is not None
    assert pairs.median == pytest.approx(1 - 1 / 1.03, abs=1.5e-3)


def test_only_answers_of_one_length_tell_what_sampling_costs() -> None:
    simulation = simulate(ROWS["Llama, Jetson"])
    simulation.run.measure()
    answers = list(simulation.run.series.answers)
    whole = sampling_cost(answers)
    answers[0] = replace(answers[0], tokens=answers[0].tokens // 2)
    fewer = sampling_cost(answers)
    assert whole is not None
    assert fewer is not None
    assert (whole.count, fewer.count) == (6, 5)


def test_idle_that_drifts_too_far_leaves_no_power() -> None:
    simulation = simulate(ROWS["Llama, Pi"], drift_per_s=3e-4)
    simulation.run.measure()
    table = tabulate(simulation.run.series, simulation.settings)
    drift = idle_drift(table.energies)
    assert drift is not None
    assert drift > 0.05
    assert (table.row.inference_w, table.row.tokens_per_joule) == (None, None)
    assert table.row.idle_w is not None
    assert table.row.idle_w.count == 2
    assert table.row.idle_w.median == pytest.approx(1.5 * (1 + 3e-4 * 150), rel=0.03)
    assert table.row.tokens_per_s is not None
    assert "6 of 6 answers without energy: idle power drifted from" in table.flags[0]


def test_a_board_without_a_model_idles_apart() -> None:
    simulation = simulate(ROWS["Llama, Jetson"], drift_per_s=0.0)
    simulation.timeline.idle("board idle", "idle, no model loaded", None)
    simulation.machine.idle_w = 5.4
    simulation.run.measure()
    figures = tabulate(simulation.run.series, simulation.settings).figures
    board_idle, idle = figures["board_idle_w"], figures["idle_w"]
    assert board_idle is not None
    assert idle is not None
    assert (board_idle.count, board_idle.interval) == (1, None)
    assert board_idle.median == pytest.approx(5.0, abs=0.02)
    assert idle.median == pytest.approx(5.4, abs=0.02)


def test_idle_phases_that_are_short_are_flagged() -> None:
    simulation = simulate(ROWS["Llama, Pi"], idle_s=3.0)
    simulation.run.measure()
    series = simulation.run.series
    table = tabulate(series, simulation.settings)
    assert table.row.inference_w is not None
    assert table.flags == ("idle of 3 s, not 60",)
    almost = replace(simulation.settings, idle_s=IDLE_S - 1)
    assert tabulate(series, almost).flags == ("idle of 59 s, not 60",)
    assert tabulate(series, replace(almost, idle_s=IDLE_S)).flags == ()
    assert tabulate(replace(series, trace=None), simulation.settings).flags == ()


def test_a_gap_costs_its_answer_only() -> None:
    simulation = simulate(ROWS["Llama, Pi"])
    simulation.run.measure()
    series = simulation.run.series
    assert series.trace is not None
    times = series.trace.times_s
    first = series.measured[0].window
    kept = (times < first.start_s + 5) | (times > first.start_s + 8)
    holed = replace(series.trace, times_s=times[kept], power_w=series.trace.power_w[kept])
    holed = replace(holed, energy_j=series.trace.energy_j[kept], read_s=series.trace.read_s[kept])
    table = tabulate(replace(series, trace=holed), simulation.settings)
    assert table.row.inference_w is not None
    assert table.row.inference_w.count == 5
    assert table.flags == (table.flags[0],)
    assert table.flags[0].startswith("1 of 6 answers without energy: no sample for 3")


def test_without_a_meter_times_are_all_there_is() -> None:
    machine = Machine(1.0, 2.0)
    simulation = Simulation(machine, ClockedEngine(machine), Settings(tokens=256), None)
    simulation.run.measure()
    series = simulation.run.series
    assert [phase.name for phase in series.phases[:2]] == ["load", "warm-up"]
    table = tabulate(series, simulation.settings)
    assert table.flags == ()
    assert (table.row.idle_w, table.row.inference_w, table.row.tokens_per_joule) == (None, None, None)
    assert table.row.tokens_per_s is not None
    assert table.row.tokens_per_s.count == 6
    assert table.figures["sampling_cost_share"] is None


def test_too_few_and_too_short_are_flagged() -> None:
    machine = Machine(1.0, 2.0)
    simulation = Simulation(machine, ClockedEngine(machine, token_s=0.001), Settings(answers=3, tokens=2), None)
    answer = simulation.engine.answer(simulation.engine.fixed(2))
    series = replace(simulation.run.series, answers=(answer,) * 3, phases=(Phase("load", 0, 1),), interrupted=False)
    flags = tabulate(series, simulation.settings).flags
    assert flags == ("only 3 of the 5 answers or more that a median needs", "all answers together took less than 60 s")

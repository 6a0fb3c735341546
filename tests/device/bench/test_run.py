"""The order of a run: what lies between what, how often, how long, and what an interrupt leaves."""

from itertools import pairwise

import pytest

from device.answer import tail_s
from device.bench.series import phase_at
from device.bench.settings import Settings, choose_length
from device.bench.table import tabulate
from tests.device.bench.simulated import ClockedEngine, Machine, Simulation
from tests.device.meters import INA3221, SUPPLY


def simulation(settings: Settings, *, with_meter: bool = True, **engine: float) -> Simulation:
    machine = Machine(5.0, 15.0)
    return Simulation(
        machine,
        ClockedEngine(machine, **engine),  # type: ignore[arg-type]
        settings,
        INA3221 if with_meter else None,
    )


def test_sampled_and_unsampled_answers_change_places_from_pair_to_pair() -> None:
    run = simulation(Settings(tokens=256))
    run.run.measure()
    series = run.run.series
    assert [answer.sampled for answer in series.answers] == [True, False, False, True] * 3
    assert len({answer.task for answer in series.answers}) == 1
    assert len(run.engine.asked) == 13  # the warm-up is no answer
    assert series.trace is not None
    for answer in series.answers:
        inside = (series.trace.times_s > answer.times.start_s) & (series.trace.times_s < answer.times.end_s)
        assert inside.any() == answer.sampled


def test_idle_phases_lie_on_both_sides_of_all_answers_and_last_as_long_as_asked() -> None:
    run = simulation(Settings(tokens=256, idle_s=45.0))
    run.run.measure()
    series = run.run.series
    before, after = series.window("idle before"), series.window("idle after")
    assert before is not None
    assert after is not None
    assert [before.duration_s, after.duration_s] == pytest.approx([45.0, 45.0])
    assert before.end_s < min(answer.times.start_s for answer in series.answers)
    assert after.start_s > max(answer.times.end_s for answer in series.answers) + tail_s(INA3221)
    starts = [phase.start_s for phase in series.phases]
    assert starts == sorted(starts)
    assert phase_at(series.phases, before.middle_s) == "idle before"
    assert phase_at(series.phases, 0.0) is None


def test_a_filtered_sensor_forgets_an_answer_before_the_next_begins() -> None:
    run = simulation(Settings(tokens=256))
    run.run.measure()
    answers = run.run.series.answers
    gaps = [later.times.start_s - earlier.times.end_s for earlier, later in pairwise(answers)]
    assert min(gaps) > tail_s(INA3221)


def test_short_answers_are_repeated_until_they_take_a_minute() -> None:
    run = simulation(Settings(tokens=256), prompt_s=0.5, token_s=0.01)
    run.run.measure()
    measured = run.run.series.measured
    assert 60.0 <= sum(answer.answer_s for answer in measured) < 60.0 + measured[0].answer_s
    assert len(measured) == 20
    assert tabulate(run.run.series, run.settings).flags == ()


def test_time_left_counts_down_to_nothing() -> None:
    run = simulation(Settings(tokens=256))
    run.run.measure()
    shown = run.show.phases
    assert [label for label, _ in shown[:3]] == [
        "idle, before the answers",
        "warm-up, not counted",
        "answer 1 of 6, power sampled",
    ]
    assert shown[3][0] == "answer 1 of 6, without sampling"
    left = [seconds for _, seconds in shown[2:]]
    assert None not in left
    assert left == sorted(left, key=lambda seconds: -(seconds or 0))
    assert shown[-1] == ("idle, after the answers", 65.0)


def test_the_first_estimate_is_close() -> None:
    run = simulation(Settings(tokens=256))
    run.run.measure()
    left_s = run.show.phases[2][1]
    began_s = run.run.series.answers[0].times.start_s
    assert left_s == pytest.approx(run.machine.clock.now_s - began_s, rel=0.02)


@pytest.mark.parametrize(
    ("token_s", "prompt_s", "room", "tokens"),
    [
        (0.19, 10.0, 2048, 256),  # an 8B on a Raspberry Pi
        (0.045, 1.0, 2048, 256),  # on a Jetson
        (0.02, 1.0, 2048, 512),
        (0.001, 0.1, 2048, 2048),
        (0.001, 0.1, 1920, 1024),
        (0.001, 0.1, 100, 100),
    ],
)
def test_an_answer_is_as_long_as_it_must_be(token_s: float, prompt_s: float, room: int, tokens: int) -> None:
    assert choose_length(token_s, prompt_s, room) == tokens


def test_the_length_follows_from_the_warm_up() -> None:
    run = simulation(Settings(), token_s=0.02)
    run.run.measure()
    assert {answer.tokens for answer in run.run.series.answers} == {512}
    assert run.engine.asked[0].tokens == 64


def test_questions_are_asked_once_each_whatever_they_take() -> None:
    run = simulation(Settings(natural=True))
    run.run.measure()
    series = run.run.series
    assert [answer.task.question for answer in series.measured] == [f"question {number}" for number in range(5)]
    assert [answer.tokens for answer in series.measured] == [30, 40, 50, 60, 70]
    assert len(series.answers) == 10
    assert tabulate(series, run.settings).flags == ()


@pytest.mark.parametrize("with_meter", [True, False])
def test_an_interrupt_keeps_what_was_measured(with_meter: bool) -> None:
    run = simulation(Settings(tokens=256), with_meter=with_meter, stop_at=6)
    with pytest.raises(KeyboardInterrupt):
        run.run.measure()
    series = run.run.series
    assert (series.interrupted, series.complete) == (True, False)
    assert len(series.answers) == 5
    assert series.window("idle after") is None
    table = tabulate(series, run.settings)
    assert table.flags[0].startswith("interrupted")
    assert table.row.tokens_per_s is not None
    assert table.row.inference_w is None
    assert run.open_stretches == 0
    if with_meter:
        assert "no energy: there was no idle phase before and after the answers" in table.flags
        assert series.trace is not None
        assert series.trace.times_s[-1] > series.answers[-1].times.end_s


def test_a_meter_that_goes_away_ends_the_series() -> None:
    run = simulation(Settings(tokens=256))
    run.ends_at_stretch = 3  # idle before, an answer, an answer
    run.run.measure()
    series = run.run.series
    assert (series.interrupted, series.complete) == (False, False)
    assert [answer.sampled for answer in series.answers] == [True, False, False, True]
    assert series.window("idle after") is None
    table = tabulate(series, run.settings)
    assert "the series ended with its meter: the recording is over" in table.flags
    assert table.row.tokens_per_s is not None
    assert table.row.inference_w is None


def test_an_unfiltered_meter_rests_less() -> None:
    machine = Machine(5.0, 15.0)
    run = Simulation(machine, ClockedEngine(machine), Settings(tokens=256), SUPPLY)
    run.run.measure()
    answers = run.run.series.answers
    assert answers[1].times.start_s - answers[0].times.end_s < 1.0
    assert tabulate(run.run.series, run.settings).row.inference_w is not None

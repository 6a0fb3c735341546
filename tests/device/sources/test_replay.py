"""Recordings played by a clock that the tests turn."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ReadingError, SourceUnavailableError
from device.sources.replay import Recording, Replay, open_replay, parse_recording
from device.system import System
from tests.device.fixtures import POWER, expected, shared


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def recording(*rows: tuple[float, float]) -> Recording:
    return parse_recording("t_s,p_w\n" + "".join(f"{time_s},{power_w}\n" for time_s, power_w in rows))


def test_it_plays_from_its_first_row_at_the_pace_of_the_clock(tmp_path: Path) -> None:
    path, clock = tmp_path / "run.csv", Clock()
    path.write_text("# scope: module\nt_s,p_w\n-5,4\n-4,6\n-3,6\n")
    source = open_replay(System(), path, clock)
    assert (source.meter.source, source.meter.scope, source.meter.period_s) == ("replay", "module", 1.0)
    powers_w = []
    for _ in range(5):
        powers_w.append(source.read().power_w)
        clock.now_s += 0.5
    assert powers_w == [4, 5, 6, 6, 6]
    with pytest.raises(SourceUnavailableError, match="holds nothing at"):
        source.read()
    source.close()


def test_a_gap_has_no_power() -> None:
    """Its ends have; five periods are the longest step, and one second where five periods are less."""
    run = recording((0, 5), (0.1, 5), (0.2, 5), (0.3, 5), (1.4, 9), (1.5, 9))
    assert run.longest_step_s == 1.0
    assert run.power_at(0.3) == 5
    with pytest.raises(ReadingError, match=r"gap from 0\.3 s to 1\.4 s"):
        run.power_at(0.301)
    assert run.power_at(1.4) == 9
    assert recording((0, 5), (1, 5), (2, 5), (7, 15)).power_at(4.5) == 10
    with pytest.raises(ReadingError, match="gap"):
        recording((0, 5), (1, 5), (2, 5), (7.1, 15)).power_at(4.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with the columns t_s,p_w"),
        ("t,p\n0,1\n1,1\n", "begins with the columns t_s,p_w"),
        ("t_s,p_w\n", "at least two rows"),
        ("t_s,p_w\n0,1\n", "at least two rows"),
        ("t_s,p_w\n0,1\n1,\n", "line 3 .* not two numbers"),
        ("t_s,p_w\n0,1\n1,2,3\n", "line 3 .* not two numbers"),
        ("t_s,p_w\n0,1\n1,nan\n", "line 3 .* not finite"),
        ("t_s,p_w\n0,1\n0,1\n", "time does not grow in line 3"),
        ("t_s,p_w\n0,1\n1,1\n0.5,1\n", "time does not grow in line 4"),
        ("# scope: module\nt_s,p_w\n0,1\n1,\n", "line 4 .* not two numbers"),
        ("# scope: the lot\nt_s,p_w\n0,1\n1,1\n", "'# scope: the lot' is no scope"),
        ("#\nt_s,p_w\n0,1\n1,1\n", "'#' is no scope"),
        ("t_s,p_w\n0," + "1" * 200_000 + "\n1,1\n", "no CSV .*field larger"),
        ("time_s,power_w,phase\n0,1\n1,1\n", "line 2 .* not like its first"),
        ("time_s,power_w,phase\n0,1,idle\n1,,idle\n", "line 3 .* not two numbers"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ReadingError, match=message):
        parse_recording(text)
    (tmp_path / "run.csv").write_text(text)
    with pytest.raises(SourceUnavailableError, match="is no recording"):
        open_replay(System(), tmp_path / "run.csv")


def test_a_file_that_is_not_there_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="No such file"):
        open_replay(System(), tmp_path / "absent.csv")


@pytest.mark.parametrize("power_w", [0, -3, 1e6])
def test_what_no_machine_draws_is_refused(tmp_path: Path, power_w: float) -> None:
    path = tmp_path / "run.csv"
    path.write_text(f"# scope: supply\nt_s,p_w\n0,5\n1,{power_w}\n2,5\n")
    with pytest.raises(SourceUnavailableError, match=f"holds {power_w:g} W".replace("+", r"\+")):
        open_replay(System(), path)


def test_a_recording_that_does_not_say_of_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("t_s,p_w\n0,5\n1,5\n")
    with pytest.raises(SourceUnavailableError, match=r"does not say what it recorded; give .* # scope: supply\|module"):
        open_replay(System(), path)


def test_the_trace_of_a_bench_is_a_recording_once_it_says_of_what(tmp_path: Path) -> None:
    path, clock = tmp_path / "trace.csv", Clock()
    path.write_text("# scope: cpu-package\ntime_s,power_w,energy_j,phase\n0,7,,idle_before\n0.1,9,,answer 1\n")
    source = open_replay(System(), path, clock)
    assert (source.meter.scope, source.read().power_w) == ("cpu-package", 7)


def test_a_pipe_is_no_recording_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.csv")
    with pytest.raises(SourceUnavailableError, match="no regular file"):
        open_replay(System(), tmp_path / "run.csv")


@given(st.lists(st.tuples(st.floats(0.01, 0.9), st.floats(0, 100)), min_size=2, max_size=20), st.floats(0, 1))
def test_power_lies_between_its_neighbours(steps: list[tuple[float, float]], share: float) -> None:
    times_s = [sum(step for step, _ in steps[: n + 1]) for n in range(len(steps))]
    run = Recording(tuple(times_s), tuple(power_w for _, power_w in steps))
    time_s = times_s[0] + share * (times_s[-1] - times_s[0])
    low, high = min(run.powers_w), max(run.powers_w)
    assert low - 1e-9 <= run.power_at(min(time_s, times_s[-1])) <= high + 1e-9
    for time_s, power_w in zip(run.times_s, run.powers_w, strict=True):
        assert run.power_at(time_s) == pytest.approx(power_w)


@shared
def test_recorded_runs() -> None:
    ramp = parse_recording((POWER / "traces/ramp.csv").read_text("utf-8"))
    start_s, end_s = expected()["traces/ramp.csv"]["window"]
    assert Replay(ramp, "module", Clock()).read().power_w == 0
    energy_j = (ramp.power_at(start_s) + ramp.power_at(end_s)) / 2 * (end_s - start_s)  # exact on a straight line
    assert energy_j == pytest.approx(expected()["traces/ramp.csv"]["J"])
    uneven = parse_recording((POWER / "traces/uneven.csv").read_text("utf-8"))
    assert [uneven.power_at(time_s) for time_s in (0, 0.5, 1, 3)] == [3, 4, 5, 5]
    lag = parse_recording((POWER / "traces/ina_lag.csv").read_text("utf-8"))
    assert lag.power_at(-1) == 5
    assert lag.period_s == pytest.approx(0.1, abs=0.02)


@shared
def test_a_recorded_gap_and_time_that_turns() -> None:
    gap = parse_recording((POWER / "traces/gap.csv").read_text("utf-8"))
    steps_s = [b - a for a, b in zip(gap.times_s, gap.times_s[1:], strict=False)]
    longest = steps_s.index(max(steps_s))
    assert steps_s[longest] == pytest.approx(expected()["traces/gap.csv"]["max_gap_s"])
    with pytest.raises(ReadingError, match="gap"):
        gap.power_at(gap.times_s[longest] + 1)
    assert expected()["traces/backwards.csv"]["valid"] is False
    with pytest.raises(ReadingError, match="time does not grow"):
        parse_recording((POWER / "traces/backwards.csv").read_text("utf-8"))

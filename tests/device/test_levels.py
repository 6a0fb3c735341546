"""Levels of load: which there are, that each is held while the sensor is sampled and the meter is read, what is typed."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device.calibration import Level, Sensor
from device.errors import CalibrationError, ReadingError, SourceUnavailableError
from device.level_table import COLUMNS, RecordedLevel, read_levels, write_levels
from device.levels import Seen, _seen, hold_s, load_steps, parse_reading, take_level
from device.load import BusyThreads
from device.reading import Filter, Meter, Reading
from device.trace import make_trace
from tests.device.loads import Board

SENSOR = Sensor("Raspberry Pi 5, a board", "pmic-ioctl", "sum of PMIC rails", None, None)


@pytest.mark.parametrize("busy", [0, 3])
def test_the_load_goes_on_until_the_meter_is_read(busy: int) -> None:
    board, asked = Board(), list[tuple[Seen, int | None]]()

    def ask(seen: Seen) -> float:
        asked.append((seen, board.busy))
        return 9.0

    level = take_level(board, busy, ask, wait=board.wait, load=board.load)
    assert (level.sensor_w, level.meter_w) == pytest.approx((2.0 + 1.5 * busy, 9.0))
    ((seen, held),) = asked
    assert held == busy
    assert board.busy is None
    assert (seen.mean_w, seen.spread_w) == pytest.approx((2.0 + 1.5 * busy, 0.0))
    assert seen.samples >= 5


def test_what_the_sensor_said_before_it_settled_does_not_count() -> None:
    power_w = np.array([9.0, 9.0, 9.0, 2.0, 2.5, np.nan, 3.0, 2.0, 2.5])
    seen = _seen(make_trace(Board.meter, np.arange(9.0), power_w), 3.0)
    assert (seen.mean_w, seen.samples) == pytest.approx((2.4, 5))
    assert seen.spread_w == pytest.approx(np.sqrt((2 * 0.16 + 2 * 0.01 + 0.36) / 4))
    with pytest.raises(CalibrationError, match="gave 4 readings of power, too few"):
        _seen(make_trace(Board.meter, np.arange(9.0), power_w), 3.5)


def test_an_interrupt_ends_the_load() -> None:
    before = set(threading.enumerate())

    def interrupt(_: Seen) -> float:
        raise KeyboardInterrupt

    board = Board()
    board.busy = 0
    with pytest.raises(KeyboardInterrupt):
        take_level(board, 2, interrupt, wait=board.wait)
    assert set(threading.enumerate()) == before


def test_a_sensor_that_fails_gives_no_level() -> None:
    board = Board(ReadingError("busy"))
    with pytest.raises(CalibrationError, match=r"pmic-ioctl gave 0 readings of power, too few \(busy\)"):
        take_level(board, 0, lambda _: 5.0, wait=board.wait, load=board.load)


def test_a_sensor_that_went_away_is_told() -> None:
    board = Board(SourceUnavailableError("gone", "plug it in"))

    def until_it_ended(_: float) -> None:
        for thread in threading.enumerate():
            if thread.name == "power-sampler":
                thread.join(30)

    with pytest.raises(CalibrationError, match="gone; plug it in"):
        take_level(board, 0, lambda _: 5.0, wait=until_it_ended, load=board.load)


def test_a_counter_alone_gives_no_level() -> None:
    class Counter(Board):
        def read(self) -> Reading:
            super().read()
            return Reading(energy_j=1.0)

    board = Counter()
    with pytest.raises(CalibrationError, match="a counter of energy only"):
        take_level(board, 0, lambda _: 5.0, wait=board.wait, load=board.load)


@pytest.mark.parametrize(
    ("cores", "steps"),
    [(1, [0, 1]), (2, [0, 1, 2]), (4, [0, 1, 2, 3, 4]), (6, [0, 2, 3, 4, 5, 6]), (16, [0, 4, 7, 10, 13, 16])],
)
def test_levels_go_from_idle_to_every_core(cores: int, steps: list[int]) -> None:
    assert load_steps(cores) == steps
    assert load_steps()[-1] >= 1


def test_a_level_is_held_until_the_sensors_filter_has_settled() -> None:
    meter = Meter("x", "y", "module", "measured", filter=Filter(512, 0.43, 0.43))
    assert hold_s(meter) == (10.0, 10.0)
    slow = Meter("x", "y", "module", "measured", filter=Filter(1024, 8.4, 8.4), period_s=2.0)
    assert hold_s(slow) == pytest.approx((6 * 8.4, 20.0))


def test_busy_threads_work_and_end() -> None:
    before = threading.active_count()
    with BusyThreads(2):
        assert threading.active_count() == before + 2
    with BusyThreads(0):
        assert threading.active_count() == before


@pytest.mark.parametrize("typed", ["7.25", " 7.25 W", "7,25", "7.25w"])
def test_what_people_type(typed: str) -> None:
    assert parse_reading(typed, 5.0) == 7.25


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "is no number"),
        ("seven", "'seven' is no number: type"),
        ("7250", "7250 W cannot be, since the sensor says 5.00 W"),
        ("0.007", "0.007 W cannot"),
        ("-7", "-7 W cannot"),
        ("nan", "nan W cannot"),
        ("inf", "inf W cannot"),
    ],
)
def test_what_is_no_reading_is_said(typed: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_reading(typed, 5.0)


# The table


def filled_in(path: Path, *readings: str) -> None:
    head, *lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([head, *map("".join, zip(lines, readings, strict=True))]), "utf-8")


def test_a_table_is_filled_in_and_read(tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    write_levels(path, SENSOR, [RecordedLevel(0, 2.0), RecordedLevel(4, 6.54321)])
    filled_in(path, "2.9", '"8,1"')
    assert read_levels(path, SENSOR) == [Level(2.0, 2.9), Level(6.5432, 8.1)]


@pytest.mark.parametrize(
    ("readings", "says"),
    [(("2.9", ""), "line 3 of .*'' is no number"), (("2.9", "8.1,9"), "line 3 of .* has 9 columns, not 8")],
)
def test_a_table_that_is_not_complete_is_refused(readings: tuple[str, ...], says: str, tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    write_levels(path, SENSOR, [RecordedLevel(0, 2.0), RecordedLevel(4, 6.5)])
    filled_in(path, *readings)
    with pytest.raises(CalibrationError, match=says):
        read_levels(path, SENSOR)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    with pytest.raises(CalibrationError, match=r"cannot read .*levels\.csv"):
        read_levels(path, SENSOR)
    path.write_text("level,meter_w\n0,2.9\n", "utf-8")
    with pytest.raises(CalibrationError, match=",".join(COLUMNS)):
        read_levels(path, SENSOR)
    others = (replace(SENSOR, board="another"), replace(SENSOR, correction="+5%"), replace(SENSOR, shunt_ohm=0.01))
    for other in others:
        write_levels(path, other, [RecordedLevel(0, 2.0)])
        filled_in(path, "2.9")
        with pytest.raises(CalibrationError, match=r"line 2 of .* is of another sensor than pmic-ioctl"):
            read_levels(path, SENSOR)
    corrected = Sensor("a board", "hwmon", "ina226", "1.1 x, as the maker says", 0.01)
    write_levels(path, corrected, [RecordedLevel(0, 2.0)])
    filled_in(path, "2.9")
    assert read_levels(path, corrected) == [Level(2.0, 2.9)]

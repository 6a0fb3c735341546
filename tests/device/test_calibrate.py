"""`bedside device calibrate`: levels held and typed, tables, what is stored, and what `bedside device` then says."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from device.calibration_files import CalibrationFiles
from device.command import app
from device.detect import Detection
from device.level_table import COLUMNS
from device.levels import load_steps, take_level
from device.reading import Meter
from tests.device.loads import Board
from tests.device.machines import INA226, Files, write

MODEL = "Raspberry Pi 5 Model B Rev 1.0"
STEPS = 5


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine says that it is a certain board, and its user has a data folder."""
    write(tmp_path, {"model": f"{MODEL}\0"})
    monkeypatch.setattr("device.board._MODEL_FILES", (str(tmp_path / "model"),))
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def meter(tmp_path: Path) -> Path:
    """A meter of the user's own at the supply, which says 6 W."""
    files: Files = {name.rpartition("/")[2]: content for name, content in INA226.items()}
    return write(tmp_path / "hwmon5", files)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """The meter that is found is a board's whose power follows the load; looks take the place of seconds."""
    board = Board()
    monkeypatch.setattr("device.calibrate.open_source", lambda *_: Detection(board, ()))
    monkeypatch.setattr("device.calibrate.load_steps", lambda: load_steps(STEPS))
    monkeypatch.setattr("device.calibrate.take_level", partial(take_level, wait=board.wait, load=board.load))
    return board


def run(*arguments: str | Path, typed: Sequence[str] = ()) -> Result:
    lines = "".join(f"{line}\n" for line in typed)
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)], input=lines)


def message(result: Result) -> str:
    """Of the error that the front door prints in one line."""
    assert result.exit_code == 1
    return str(result.exception)


def readings(gain: float = 1.2, offset_w: float = 0.5) -> list[str]:
    """What a meter says at each level of the board."""
    return [f"{gain * (2.0 + 1.5 * busy) + offset_w:.3f}" for busy in load_steps(STEPS)]


def test_what_is_typed_is_fitted_shown_and_stored(board: Board) -> None:
    result = run("--reference", "FNB58", typed=[*readings(), "n"])
    assert result.exit_code == 0, result.output
    assert f"Sensor: pmic-ioctl sum of PMIC rails (uncorrected) on {MODEL}" in result.output
    assert "Level 1 of 6: idle\n  the sensor says 2.00 W (spread 0.00 W" in result.output
    assert "Level 6 of 6: 5 busy threads\n  the sensor says 9.50 W" in result.output
    assert "   9.50 W   11.90 W" in result.output
    assert "supply = 1.2000 x sensor +0.5000 W\nresiduals (meter above the line): " in result.output
    (stored,) = CalibrationFiles().all()
    assert stored.calibration is not None
    assert (stored.calibration.gain, stored.calibration.offset_w) == pytest.approx((1.2, 0.5))
    assert (stored.calibration.reference, len(stored.calibration.levels)) == ("FNB58", 6)


def test_what_is_no_number_is_asked_again_and_nothing_is_lost(board: Board) -> None:
    first, *rest = readings()
    result = run(typed=[first, "about seven", "7000", "", *rest, "n"])
    assert result.exit_code == 0, result.output
    assert "'about seven' is no number: type what the meter shows in watts, like 7.25" in result.output
    assert "7000 W cannot be, since the sensor says 3.50 W" in result.output
    (stored,) = CalibrationFiles().all()
    assert stored.calibration is not None
    assert stored.calibration.gain == pytest.approx(1.2)


def test_a_load_of_the_users_own_is_one_more_level(board: Board) -> None:
    result = run(typed=[*readings(), "y", readings()[0], "n"])
    assert result.exit_code == 0, result.output
    assert "Level 7: your own load" in result.output
    (stored,) = CalibrationFiles().all()
    assert stored.calibration is not None
    assert len(stored.calibration.levels) == 7


@pytest.mark.usefixtures("board")
def test_a_machine_of_few_cores_needs_loads_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.calibrate.load_steps", lambda: load_steps(2))
    result = run(typed=[*readings()[:3], "n"])
    assert "3 levels of load" in result.output
    assert "4 are needed: add others under loads of your own" in result.output
    assert "3 different levels of load are too few" in message(result)
    assert CalibrationFiles().all() == []


@pytest.mark.parametrize("typed", [[], ["2.9", "4.7"], [*readings()]])
def test_who_ends_it_stores_nothing(typed: list[str], board: Board) -> None:
    result = run(typed=typed)
    assert result.exit_code == 1
    assert "Aborted" in result.output
    assert CalibrationFiles().all() == []
    assert board.busy is None


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (readings(gain=-0.5, offset_w=12), "in watts, and in order"),
        (["5"] * 6, "in watts, and in order"),
        ([*readings()[:2], readings()[1], *readings()[3:]], "it does not follow"),
        ([*readings()[:2], "7.2", *readings()[3:]], "from the line, more than 5%"),
    ],
)
def test_readings_that_make_no_line_store_nothing(typed: list[str], says: str, board: Board) -> None:
    result = run(typed=[*typed, "n"])
    assert says in message(result)
    assert f"{float(typed[-1]):.2f} W" in result.output  # what was typed is still to be seen
    assert CalibrationFiles().all() == []


@pytest.mark.parametrize(
    "blind",
    [
        Meter("nvml", "a card", "gpu", "measured"),
        Meter("rapl", "package-0", "cpu-package", "measured"),
        Meter("battery", "BAT0", "supply", "measured"),  # it discharges: nothing comes from the supply
    ],
)
def test_a_sensor_that_sees_less_than_the_supply_is_not_calibrated(blind: Meter, board: Board) -> None:
    board.meter = blind
    assert f"{blind.source} does not see what a meter at the supply sees; name a meter that does" in message(run())


def test_a_board_that_does_not_say_what_it_is_has_no_calibration(monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    monkeypatch.setattr("device.board._MODEL_FILES", ())
    monkeypatch.setattr("device.board._DMI_FILES", ())
    assert "does not say which board this is" in message(run())


def test_no_meter_is_no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.calibrate.open_source", lambda *_: Detection(None, ()))
    assert "no meter that can be used: bedside device says what is missing" in message(run())


def test_a_meter_that_was_named_and_is_not_there_is_told(tmp_path: Path) -> None:
    assert "is no hwmon meter" in message(run("--meter", tmp_path / "nowhere"))


def test_one_thing_at_a_time() -> None:
    result = run("--show", "--remove")
    assert result.exit_code == 2


# Tables, and a meter in files


def table(path: Path, gain: float = 1.02, offset_w: float = 0.05) -> Path:
    said = (2.0, 4.0, 6.0, 8.0)
    lines = [f"{MODEL},hwmon,ina226 power1_input,,0.1,0,{value},{gain * value + offset_w:.4f}" for value in said]
    path.write_text("\n".join([",".join(COLUMNS), *lines]), "utf-8")
    return path


def test_a_table_that_is_not_there_or_no_table_is_refused(board: Board, tmp_path: Path) -> None:
    absent = message(run("--readings", tmp_path / "absent.csv"))
    assert absent == f"cannot read {tmp_path}/absent.csv: there is no such file; make it with --record"
    (tmp_path / "big.csv").write_text("1" * 200_000, "utf-8")
    assert "is no CSV (field larger than field limit" in message(run("--readings", tmp_path / "big.csv"))


def test_levels_are_recorded_filled_in_and_fitted(board: Board, tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    result = run("--record", path)
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"bedside device calibrate --readings {path}\n")
    head, *lines = path.read_text("utf-8").splitlines()
    assert lines[1] == f"{MODEL},pmic-ioctl,sum of PMIC rails,,,1,3.5000,"
    assert "is there already: give another name" in message(run("--record", path))
    assert "is no folder: create it first" in message(run("--record", tmp_path / "nowhere" / "levels.csv"))
    path.write_text("\n".join([head, *(line + read for line, read in zip(lines, readings(), strict=True))]), "utf-8")
    assert run("--readings", path).exit_code == 0
    (stored,) = CalibrationFiles().all()
    assert stored.calibration is not None
    assert stored.calibration.gain == pytest.approx(1.2)


def device_json(meter: Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["--json", "--meter", str(meter)])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_stored_calibration_is_used_shown_and_removed(meter: Path, tmp_path: Path) -> None:
    assert device_json(meter)["sources"][0]["power_w"] == 6.0
    assert "no calibration is stored" in run("--show").output
    assert run("--meter", meter, "--readings", table(tmp_path / "levels.csv")).exit_code == 0
    source = device_json(meter)["sources"][0]
    assert source["power_w"] == pytest.approx(1.02 * 6 + 0.05)
    assert (source["scope"], source["kind"], source["rails_w"]) == ("supply", "measured", {"ina226 power1_input": 6.0})
    assert source["correction"].startswith(
        "1.0200 x +0.0500 W, calibrated with a meter at the supply at 4 levels on 20"
    )
    assert source["calibrated"]["from_w"] == pytest.approx(1.02 * 1.4 + 0.05)
    text = " ".join(CliRunner().invoke(app, ["--meter", str(meter)]).stdout.split())
    assert "Power 6.17 W: ina226 power1_input by hwmon, measured" in text
    assert "without the correction: 6.00 W" in text
    assert f"hwmon ina226 power1_input (uncorrected, shunt of 100 mOhm) on {MODEL}\n" in run("--show").output
    # One made anew starts from the sensor itself, not from what the one before it says.
    assert run("--meter", meter, "--readings", table(tmp_path / "levels.csv", gain=1.1)).exit_code == 0
    assert device_json(meter)["sources"][0]["power_w"] == pytest.approx(1.1 * 6 + 0.05)
    assert run("--meter", meter, "--remove").exit_code == 0
    assert device_json(meter)["sources"][0]["power_w"] == 6.0
    assert "no calibration of hwmon" in message(run("--meter", meter, "--remove"))


def test_another_board_does_not_use_it(meter: Path, tmp_path: Path) -> None:
    run("--meter", meter, "--readings", table(tmp_path / "levels.csv"))
    write(tmp_path, {"model": "Raspberry Pi 5 Model B Rev 1.1\0"})
    source = device_json(meter)["sources"][0]
    assert (source["power_w"], source["correction"], source["calibrated"]) == (6.0, None, None)
    assert f"on {MODEL}: not this board" in run("--show").output
    assert "is of another sensor" in message(run("--meter", meter, "--readings", tmp_path / "levels.csv"))


def test_levels_recorded_under_another_shunt_are_refused(meter: Path, tmp_path: Path) -> None:
    levels = table(tmp_path / "levels.csv")
    write(meter, {"shunt_resistor": 10_000})
    assert "shunt of 10 mOhm" in message(run("--meter", meter, "--readings", levels))


def test_one_that_cannot_be_used_is_told_and_the_sensor_shown_as_it_is(meter: Path, tmp_path: Path) -> None:
    run("--meter", meter, "--readings", table(tmp_path / "levels.csv"))
    write(meter, {"shunt_resistor": 10_000})
    found = device_json(meter)
    assert (found["selected"], found["sources"][0]["power_w"]) == ("hwmon", 6.0)
    (missing,) = (missing for missing in found["unavailable"] if missing["source"] == "calibration")
    assert "shunt of 100 mOhm" in missing["reason"]
    assert missing["remedy"].endswith("\nbedside device calibrate --show")
    (stored,) = CalibrationFiles().all()
    stored.path.write_text("{", "utf-8")
    assert "cannot be used: " in run("--show").output

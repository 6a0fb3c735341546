"""Calibrations on disk: one file for each sensor of a board, whole or not there, and never that of another."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from device.calibration import Calibration, Level, calibrate, sensor_of
from device.calibration_files import CalibrationFiles
from device.errors import CalibrationError
from models.errors import StorageError
from tests.device.meters import INA3221, PMIC

BOARD = "Raspberry Pi 5 Model B Rev 1.0"
SENSOR = sensor_of(PMIC, BOARD)
LEVELS = [Level(2.0, 2.9), Level(3.5, 4.5), Level(5.0, 6.4), Level(6.5, 8.0)]
CALIBRATION = calibrate(SENSOR, LEVELS, "FNB58", date(2026, 11, 22))


@pytest.fixture
def files(tmp_path: Path) -> CalibrationFiles:
    return CalibrationFiles(tmp_path / "new" / "calibration")


def test_a_file_holds_what_was_typed(files: CalibrationFiles) -> None:
    assert files.find(SENSOR) is None
    assert files.all() == []
    path = files.save(CALIBRATION)
    assert files.find(SENSOR) == CALIBRATION
    stored = json.loads(path.read_text("utf-8"))
    assert stored["levels"][1] == {"sensor_w": 3.5, "meter_w": 4.5}
    assert [(file.path, file.calibration) for file in files.all()] == [(path, CALIBRATION)]
    assert list(files.folder.iterdir()) == [path]


def test_each_sensor_of_each_board_has_its_own(files: CalibrationFiles) -> None:
    others = [
        sensor_of(INA3221, BOARD),
        sensor_of(replace(PMIC, rail="VDD_CORE"), BOARD),
        sensor_of(PMIC, "Raspberry Pi 5 Model B Rev 1.1"),
    ]
    files.save(CALIBRATION)
    assert [files.find(other) for other in others] == [None, None, None]
    for other in others:
        files.save(replace(CALIBRATION, sensor=other))
    assert len(files.all()) == 4
    assert files.find(SENSOR) == CALIBRATION


def test_the_same_sensor_set_up_otherwise_is_told(files: CalibrationFiles) -> None:
    files.save(CALIBRATION)
    changed = sensor_of(replace(PMIC, shunt_ohm=0.1), BOARD)
    with pytest.raises(
        CalibrationError, match=r"uncorrected, shunt of 100 mOhm\) on Raspberry .*make one for this sensor"
    ):
        files.find(changed)


def test_a_copied_file_is_not_applied_to_another_board(files: CalibrationFiles) -> None:
    other = sensor_of(PMIC, "Raspberry Pi 5 Model B Rev 1.1")
    files.save(CALIBRATION).rename(files.path(other))
    with pytest.raises(CalibrationError, match=r"Rev 1.0, not for .* Rev 1.1"):
        files.find(other)


def test_what_is_removed_is_gone(files: CalibrationFiles) -> None:
    path = files.save(CALIBRATION)
    path.write_text("damaged", "utf-8")
    assert files.remove(SENSOR) == path
    assert not path.exists()
    with pytest.raises(CalibrationError, match=r"no calibration of pmic-ioctl .* on Raspberry Pi 5"):
        files.remove(SENSOR)


def test_a_failed_save_leaves_the_old_file(files: CalibrationFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.save(CALIBRATION)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="full"):
        files.save(calibrate(SENSOR, LEVELS, "another", date(2026, 11, 23)))
    assert files.find(SENSOR) == CALIBRATION
    assert list(files.folder.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        CalibrationFiles(tmp_path / "file" / "calibration").save(CALIBRATION)


def stored_with(path: Path, **changes: object) -> str:
    return json.dumps({**json.loads(path.read_text("utf-8")), **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (None, "the file: Invalid JSON"),
        ({"format": 2}, "format: "),
        ({"scope": "everything"}, "scope: "),
        ({"gain": 1.0}, "gain: Extra"),
        ({"levels": [{"sensor_w": 2.0}]}, "levels.0.meter_w: "),
        ({"levels": []}, "0 different levels"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    changes: dict[str, object] | None, says: str, files: CalibrationFiles
) -> None:
    path = files.save(CALIBRATION)
    path.write_text("" if changes is None else stored_with(path, **changes), "utf-8")
    with pytest.raises(CalibrationError, match=says):
        files.find(SENSOR)
    (file,) = files.all()
    assert file.calibration is None
    assert says in (file.fault or "")


def test_it_lies_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    path = CalibrationFiles().save(CALIBRATION)
    assert path.parent == tmp_path / "calibration"
    loaded: Calibration | None = CalibrationFiles().find(SENSOR)
    assert loaded == CALIBRATION

"""Where calibrations are kept: a file for each sensor of a board model, in the data folder of the user who made it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from device.calibration import Calibration, Level, Sensor, calibrate
from device.errors import CalibrationError
from device.reading import Scope
from models.disk import storage_errors, write_atomically
from models.errors import StorageError
from models.store import data_folder

_FOLDER = "calibration"


class _File(BaseModel):
    """What a file holds: what was typed. The line is drawn anew at every load, so that it cannot contradict it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    sensor: Sensor
    reference: str
    scope: Scope
    made: date
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Stored:
    """A file, and what it holds or why that cannot be used."""

    path: Path
    calibration: Calibration | None
    fault: str | None


class CalibrationFiles:
    """All calibrations in a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is `calibration` in the data folder by default."""
        self.folder = data_folder() / _FOLDER if folder is None else folder

    def path(self, sensor: Sensor) -> Path:
        """Where the calibration of a sensor is, or would be. How the sensor is set up is not in the name: see `find`."""
        known = json.dumps([sensor.board, sensor.source, sensor.rail])
        return self.folder / f"{sensor.source}-{hashlib.sha256(known.encode()).hexdigest()[:12]}.json"

    def save(self, calibration: Calibration) -> Path:
        """Write it whole, or leave the one before as it was. Raises StorageError."""
        stored = _File(
            sensor=calibration.sensor,
            reference=calibration.reference,
            scope=calibration.scope,
            made=calibration.made,
            levels=calibration.levels,
        )
        path = self.path(calibration.sensor)
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(stored.model_dump(mode="json"), indent=2) + "\n").encode())
        return path

    def find(self, sensor: Sensor) -> Calibration | None:
        """The calibration of this very sensor; None where there is none.

        Raises:
            StorageError: its file cannot be read.
            CalibrationError: its file holds no calibration, or that of another sensor or of another set-up of this one.
        """
        path = self.path(sensor)
        if not _is_here(path):
            return None
        calibration = _load(path)
        if calibration.sensor != sensor:
            raise CalibrationError(f"{path} is for {calibration.sensor}, not for {sensor}; make one for this sensor")
        return calibration

    def all(self) -> list[Stored]:
        """Every file, whichever board it is for."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found.append(Stored(path, _load(path), None))
            except (CalibrationError, StorageError) as error:
                found.append(Stored(path, None, str(error)))
        return found

    def remove(self, sensor: Sensor) -> Path:
        """Delete that of a sensor, whatever its file holds.

        Raises:
            CalibrationError: there is none.
            StorageError: it may not be deleted.
        """
        path = self.path(sensor)
        if not _is_here(path):
            raise CalibrationError(f"no calibration of {sensor.source} {sensor.rail} on {sensor.board} is stored")
        with storage_errors(path):
            path.unlink()
        return path


def _is_here(path: Path) -> bool:
    with storage_errors(path):
        return path.exists()


def _load(path: Path) -> Calibration:
    with storage_errors(path):
        data = path.read_bytes()
    try:
        stored = _File.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CalibrationError(f"{path} holds no calibration ({place}: {first['msg']}); make it again") from None
    try:
        return calibrate(stored.sensor, stored.levels, stored.reference, stored.made, stored.scope)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None

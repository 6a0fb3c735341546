"""Levels as a table in a CSV file: what the sensor said is written, what the meter said is filled in later by hand."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device.calibration import Level, Sensor
from device.errors import CalibrationError
from device.levels import parse_reading
from models.disk import storage_errors, write_atomically

_SENSOR_COLUMNS = ["board", "source", "rail", "correction", "shunt_ohm"]
COLUMNS = [*_SENSOR_COLUMNS, "busy_threads", "sensor_w", "meter_w"]


@dataclass(frozen=True)
class RecordedLevel:
    """A level of which the meter's reading is still to come."""

    busy_threads: int
    sensor_w: float


def write_levels(path: Path, sensor: Sensor, levels: Sequence[RecordedLevel]) -> None:
    """Write the table, its last column empty. Raises StorageError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for level in levels:
        writer.writerow([*_of_sensor(sensor), level.busy_threads, f"{level.sensor_w:.4f}", ""])
    write_atomically(path, text.getvalue().encode())


def read_levels(path: Path, sensor: Sensor) -> list[Level]:
    """The levels of a table whose last column is filled in; lines may have been added.

    Raises:
        StorageError: the file cannot be read.
        CalibrationError: no file, another table, a reading that is missing or no number, or another sensor.
    """
    if not path.is_file():
        raise CalibrationError(f"cannot read {path}: there is no such file; make it with --record")
    with storage_errors(path):
        data = path.read_bytes()
    try:
        rows = list(csv.reader(data.decode("utf-8-sig", "replace").splitlines()))
    except csv.Error as error:
        raise CalibrationError(f"{path} is no CSV ({error}): make it with --record") from None
    if not rows or rows[0] != COLUMNS:
        raise CalibrationError(f"{path} does not begin with the columns {','.join(COLUMNS)}: make it with --record")
    return [_level(f"line {number} of {path}", row, sensor) for number, row in enumerate(rows[1:], start=2) if row]


def _of_sensor(sensor: Sensor) -> list[str]:
    """The columns that tell it from others."""
    shunt = "" if sensor.shunt_ohm is None else repr(sensor.shunt_ohm)
    return [sensor.board, sensor.source, sensor.rail, sensor.correction or "", shunt]


def _level(place: str, row: list[str], sensor: Sensor) -> Level:
    if len(row) != len(COLUMNS):
        raise CalibrationError(f"{place} has {len(row)} columns, not {len(COLUMNS)}: fill in the last one only")
    *told, _, said, read = row
    if told != _of_sensor(sensor):
        raise CalibrationError(f"{place} is of another sensor than {sensor}, or of the same one set up otherwise")
    try:
        sensor_w = float(said)
        return Level(sensor_w, parse_reading(read, sensor_w))
    except ValueError as error:
        raise CalibrationError(f"{place}: {error}") from None

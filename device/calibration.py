"""A sensor made to agree with a meter that somebody reads: levels typed in, a line through them, what it leaves."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from device.errors import CalibrationError, ReadingError
from device.reading import Calibrated, Meter, Reading, Scope, Source
from device.trace import Numbers
from models.disk import storage_errors, write_atomically

MIN_LEVELS = 4
_SAME_LEVEL = 0.05  # of the span of all readings: nearer ones are one level
_MIN_SPAN = 0.2  # of the largest reading
_MARGIN = 0.1  # of the span: so far beyond its levels a calibration still holds
_GAINS = (0.2, 5.0)  # beyond these a unit was mistaken
# Student's t for 95 %, from two degrees of freedom on; more than ten are taken for ten.
_T = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Level:
    """A steady load: what the sensor said, and what was read from the meter at the same time."""

    sensor_w: float
    meter_w: float


@dataclass(frozen=True)
class Calibration:
    """A line from what a sensor says to what the reference meter would say."""

    source: str
    rail: str
    sensor_correction: str | None
    """What had been done to the sensor's figures already."""
    reference: str
    """The meter that was read; its own error is in no figure here."""
    scope: Scope
    """What that meter measures."""
    made: date
    levels: tuple[Level, ...]
    gain: float
    offset_w: float
    calibrated: Calibrated

    @property
    def residuals_w(self) -> tuple[float, ...]:
        """Per level, how far the meter is above the line."""
        return tuple(level.meter_w - self.power_w(level.sensor_w) for level in self.levels)

    def power_w(self, sensor_w: float) -> float:
        """What the reference meter would say."""
        return self.gain * sensor_w + self.offset_w

    def meter(self, sensor: Meter) -> Meter:
        """What the sensor measures with this calibration: what the reference meter does; across scopes an estimate.

        Raises:
            CalibrationError: it was made with another sensor.
        """
        identity = (sensor.source, sensor.rail, sensor.correction)
        if identity != (self.source, self.rail, self.sensor_correction):
            raise CalibrationError(
                f"the calibration is for {self.source} {self.rail} ({self.sensor_correction or 'uncorrected'}), not for "
                f"{sensor.source} {sensor.rail} ({sensor.correction or 'uncorrected'}); make one for this sensor"
            )
        line = f"{self.gain:.4f} x {self.offset_w:+.4f} W"
        before = f"{sensor.correction}, then " if sensor.correction else ""
        named = f"{before}{line}, calibrated with {self.reference} at {len(self.levels)} levels on {self.made}"
        kind = sensor.kind if sensor.scope == self.scope else "estimated"
        return replace(sensor, scope=self.scope, kind=kind, correction=named, calibrated=self.calibrated)


def calibrate(
    sensor: Meter, levels: Sequence[Level], reference: str, made: date, scope: Scope = "supply"
) -> Calibration:
    """The least-squares line through the levels, and how far a single reading may lie from it.

    Raises:
        CalibrationError: the levels are too few, too much alike, or not in watts.
    """
    said = np.array([level.sensor_w for level in levels], dtype=np.float64)
    read = np.array([level.meter_w for level in levels], dtype=np.float64)
    _check(said, read)
    spread = np.sum((said - said.mean()) ** 2)
    gain = float(np.sum((said - said.mean()) * (read - read.mean())) / spread)
    if not _GAINS[0] <= gain <= _GAINS[1]:
        raise CalibrationError(
            f"the meter changes {gain:.3g} times as much as the sensor; check that both are in watts, and in order"
        )
    offset_w = float(read.mean() - gain * said.mean())
    margin_w = _MARGIN * float(np.ptp(said))
    ends = np.array([said.min() - margin_w, said.max() + margin_w])
    # The interval of one more reading is widest at the ends.
    deviation_w = np.sqrt(np.sum((read - gain * said - offset_w) ** 2) / (len(said) - 2))
    widest = np.sqrt(1 + 1 / len(said) + (ends - said.mean()) ** 2 / spread).max()
    half_width_w = float(_T[min(len(said), len(_T) + 3) - 4] * deviation_w * widest)
    low_w, high_w = (float(end) for end in gain * ends + offset_w)
    return Calibration(
        source=sensor.source,
        rail=sensor.rail,
        sensor_correction=sensor.correction,
        reference=reference,
        scope=scope,
        made=made,
        levels=tuple(levels),
        gain=gain,
        offset_w=offset_w,
        calibrated=Calibrated(half_width_w, low_w, high_w),
    )


def _check(said: Numbers, read: Numbers) -> None:
    """Refuse levels that do not make a line."""
    if not all(np.isfinite(readings).all() and (readings > 0).all() for readings in (said, read)):
        raise CalibrationError("every level needs two readings above zero, in watts; type them again")
    if (found := _distinct(said)) < MIN_LEVELS:
        raise CalibrationError(
            f"{found} different levels of load are too few; take at least {MIN_LEVELS}, from idle to full load"
        )
    if np.ptp(said) < _MIN_SPAN * said.max():
        raise CalibrationError(
            f"the levels lie too close together ({said.min():.2f} to {said.max():.2f} W); take them from idle to full load"
        )


def _distinct(said: Numbers) -> int:
    """How many levels there are when those that are nearly alike count as one."""
    found, last = 0, -np.inf
    for value in np.sort(said):
        if value - last > _SAME_LEVEL * np.ptp(said):
            found, last = found + 1, value
    return found


class _File(BaseModel):
    """What a file holds: what was typed. The line is drawn anew at every load, so that it cannot contradict it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    source: str
    rail: str
    sensor_correction: str | None
    reference: str
    scope: Scope
    made: date
    levels: tuple[Level, ...]


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write it whole, or leave `path` as it was. Raises StorageError."""
    known = asdict(calibration)
    stored = _File(**{name: known[name] for name in _File.model_fields if name != "format"})
    write_atomically(path, (json.dumps(stored.model_dump(mode="json"), indent=2) + "\n").encode())


def load_calibration(path: Path, sensor: Meter) -> Calibration:
    """The calibration of this very sensor.

    Raises:
        StorageError: the file cannot be read.
        CalibrationError: it holds no calibration, or that of another sensor.
    """
    with storage_errors(path):
        data = path.read_bytes()
    try:
        stored = _File.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CalibrationError(f"{path} holds no calibration ({place}: {first['msg']}); make it again") from None
    made_with = replace(sensor, source=stored.source, rail=stored.rail, correction=stored.sensor_correction)
    calibration = calibrate(made_with, stored.levels, stored.reference, stored.made, stored.scope)
    calibration.meter(sensor)
    return calibration


class CalibratedSource:
    """A source whose power is corrected. Its counter is left out: the line's offset has no place in joules."""

    def __init__(self, source: Source, calibration: Calibration) -> None:
        self._source, self._calibration = source, calibration
        self._meter = calibration.meter(source.meter)

    @property
    def meter(self) -> Meter:
        """The sensor's, with the correction named."""
        return self._meter

    def read(self) -> Reading:
        """Look now; rails stay as the sensor says them."""
        reading = self._source.read()
        if reading.power_w is None:
            raise ReadingError(f"{self._meter.source} gives no power, and a calibration corrects nothing else")
        return replace(reading, power_w=self._calibration.power_w(reading.power_w), energy_j=None)

    def close(self) -> None:
        """Give back what the sensor holds."""
        self._source.close()

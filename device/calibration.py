"""A sensor made to agree with a meter that somebody reads: levels typed in, a line through them, what it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from device.errors import CalibrationError, ReadingError
from device.reading import Calibrated, Meter, Reading, Scope, Source
from device.trace import Numbers

MIN_LEVELS = 4
_SAME_LEVEL = 0.05  # of the span of all readings: nearer ones are one level
_MIN_SPAN = 0.2  # of the largest reading
_MARGIN = 0.1  # of the span: so far beyond its levels a calibration still holds
_GAINS = (0.2, 5.0)  # beyond these a unit was mistaken
_MAX_RESIDUAL = 0.05  # of the span of the meter's readings: with four levels the interval is then a third of the span
# Student's t for 95 %, from two degrees of freedom on; more than ten are taken for ten.
_T = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Level:
    """A steady load: what the sensor said, and what was read from the meter at the same time."""

    sensor_w: float
    meter_w: float


@dataclass(frozen=True)
class Sensor:
    """What a calibration was made with and holds for. Boards of one model are told apart by nothing: serials are not read."""

    board: str
    source: str
    rail: str
    correction: str | None
    """What had been done to the sensor's figures already."""
    shunt_ohm: float | None
    """What its driver was told: with another one every figure is another."""

    def __str__(self) -> str:
        shunt = "" if self.shunt_ohm is None else f", shunt of {self.shunt_ohm * 1e3:g} mOhm"
        return f"{self.source} {self.rail} ({self.correction or 'uncorrected'}{shunt}) on {self.board}"


def sensor_of(meter: Meter, board: str) -> Sensor:
    """What tells a meter on a board from others."""
    return Sensor(board, meter.source, meter.rail, meter.correction, meter.shunt_ohm)


@dataclass(frozen=True)
class Calibration:
    """A line from what a sensor says to what the reference meter would say."""

    sensor: Sensor
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

    @property
    def label(self) -> str:
        """The line and its origin, as a meter's `correction`."""
        before = f"{self.sensor.correction}, then " if self.sensor.correction else ""
        line = f"{self.gain:.4f} x {self.offset_w:+.4f} W"
        return f"{before}{line}, calibrated with {self.reference} at {len(self.levels)} levels on {self.made}"

    def meter(self, uncorrected: Meter, board: str) -> Meter:
        """What the sensor measures with this calibration: what the reference meter does; across scopes an estimate.

        Raises:
            CalibrationError: it was made with another sensor, or on another board.
        """
        sensor = sensor_of(uncorrected, board)
        if sensor != self.sensor:
            raise CalibrationError(f"the calibration is for {self.sensor}, not for {sensor}; make one for this sensor")
        kind = uncorrected.kind if uncorrected.scope == self.scope else "estimated"
        return replace(uncorrected, scope=self.scope, kind=kind, correction=self.label, calibrated=self.calibrated)


def calibrate(
    sensor: Sensor, levels: Sequence[Level], reference: str, made: date, scope: Scope = "supply"
) -> Calibration:
    """The least-squares line through the levels, and how far a single reading may lie from it.

    Raises:
        CalibrationError: the levels are too few, too much alike, not in watts, not in order, or not on a line.
    """
    check_reference(reference)
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
    _check_order(said, read)
    _check_residuals(said, read, gain * said + offset_w)
    margin_w = _MARGIN * float(np.ptp(said))
    ends = np.array([said.min() - margin_w, said.max() + margin_w])
    # The interval of one more reading is widest at the ends.
    deviation_w = np.sqrt(np.sum((read - gain * said - offset_w) ** 2) / (len(said) - 2))
    widest = np.sqrt(1 + 1 / len(said) + (ends - said.mean()) ** 2 / spread).max()
    half_width_w = float(_T[min(len(said), len(_T) + 3) - 4] * deviation_w * widest)
    low_w, high_w = (float(end) for end in gain * ends + offset_w)
    return Calibration(
        sensor=sensor,
        reference=reference,
        scope=scope,
        made=made,
        levels=tuple(levels),
        gain=gain,
        offset_w=offset_w,
        calibrated=Calibrated(half_width_w, max(low_w, 0.0), high_w),
    )


def check_reference(name: str) -> None:
    """Refuse a name that would not show as it is. Raises CalibrationError."""
    if not name.strip() or not name.isprintable():
        raise CalibrationError(f"{name!a} does not name the meter: use printed characters, like FNB58")


def _check(said: Numbers, read: Numbers) -> None:
    """Refuse levels that do not make a line."""
    if not all(np.isfinite(readings).all() and (readings > 0).all() for readings in (said, read)):
        raise CalibrationError("every level needs two readings above zero, in watts; type them again")
    if (found := len(_groups(said))) < MIN_LEVELS:
        raise CalibrationError(
            f"{found} different levels of load are too few; take at least {MIN_LEVELS}, from idle to full load"
        )
    if np.ptp(said) < _MIN_SPAN * said.max():
        raise CalibrationError(
            f"the levels lie too close together ({said.min():.2f} to {said.max():.2f} W); take them from idle to full load"
        )


def _check_order(said: Numbers, read: Numbers) -> None:
    """Refuse levels of which a higher one has a lower reading."""
    groups = _groups(said)
    means_w = [float(read[group].mean()) for group in groups]
    for (below, above), (lower_w, higher_w) in zip(pairwise(groups), pairwise(means_w), strict=True):
        if higher_w <= lower_w:
            raise CalibrationError(
                f"from {said[below].mean():.2f} W to {said[above].mean():.2f} W of the sensor the meter goes from "
                f"{lower_w:.2f} W to {higher_w:.2f} W: it does not follow; take the levels again, one reading each"
            )


def _check_residuals(said: Numbers, read: Numbers, line: Numbers) -> None:
    """Refuse levels of which one lies far from the line."""
    worst = int(np.argmax(np.abs(read - line)))
    if abs(read[worst] - line[worst]) > _MAX_RESIDUAL * np.ptp(read):
        raise CalibrationError(
            f"at {said[worst]:.2f} W of the sensor the meter's {read[worst]:.2f} W lies {read[worst] - line[worst]:+.2f} W "
            f"from the line, more than {_MAX_RESIDUAL:.0%} of all that it changes; take the levels again, each load steady"
        )


def _groups(said: Numbers) -> list[NDArray[np.intp]]:
    """Places of the levels, in order of power; those that are nearly alike are one group."""
    groups: list[list[int]] = []
    for place in np.argsort(said, kind="stable").tolist():
        if groups and said[place] - said[groups[-1][0]] <= _SAME_LEVEL * np.ptp(said):
            groups[-1].append(place)
        else:
            groups.append([place])
    return [np.array(group) for group in groups]


class CalibratedSource:
    """A source whose power is corrected. Its counter is left out: the line's offset has no place in joules."""

    def __init__(self, uncorrected: Source, calibration: Calibration, board: str) -> None:
        """Takes `uncorrected` over. Raises CalibrationError: the calibration is for another sensor."""
        self.uncorrected, self._calibration = uncorrected, calibration
        self._meter = calibration.meter(uncorrected.meter, board)

    @property
    def meter(self) -> Meter:
        """The sensor's, with the correction named."""
        return self._meter

    def read(self) -> Reading:
        """Look now; `rails_w` stays as the sensor says it, and has the figure before the correction."""
        reading = self.uncorrected.read()
        if reading.power_w is None:
            raise ReadingError(f"{self._meter.source} gives no power, and a calibration corrects nothing else")
        power_w = self._calibration.power_w(reading.power_w)
        if power_w <= 0:
            raise ReadingError(
                f"the calibration makes {power_w:g} W of the sensor's {reading.power_w:g} W, far below its levels; "
                "make it again with a level at idle"
            )
        return Reading(power_w, rails_w={**reading.rails_w, self._meter.rail: reading.power_w})

    def close(self) -> None:
        """Give back what the sensor holds."""
        self.uncorrected.close()

"""A recorded run in place of a meter: a CSV with the columns `t_s,p_w`, played at its own pace.

Before them the line `# scope: module` says what was recorded. A bench's `trace.csv` is one too, once it has that line; of
columns further to the right nothing is read. Between two rows power is a straight line, as everywhere here; in a gap there
is none.
"""

import bisect
import csv
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from device.errors import ReadingError, SourceUnavailableError
from device.reading import MOST_W, Meter, Reading, Scope
from device.system import System

_COLUMNS = (["t_s", "p_w"], ["time_s", "power_w"])
_SCOPE = "# scope: "
_REMEDY = f"give a CSV file with the line {_SCOPE}{'|'.join(get_args(Scope))}, then the columns {','.join(_COLUMNS[0])}"
_GAP_PERIODS, _GAP_S = 5, 1.0


@dataclass(frozen=True)
class Recording:
    """Times in seconds, which grow, and the power at each in watts."""

    times_s: tuple[float, ...]
    powers_w: tuple[float, ...]
    scope: Scope | None = None
    """What was recorded, where the file says it."""

    @property
    def period_s(self) -> float:
        """The usual time between two rows."""
        return statistics.median(b - a for a, b in zip(self.times_s, self.times_s[1:], strict=False))

    @property
    def longest_step_s(self) -> float:
        """Rows further apart have a gap between them."""
        return max(_GAP_PERIODS * self.period_s, _GAP_S)

    def power_at(self, time_s: float) -> float:
        """Watts at a time of the recording. Raises ReadingError in a gap, SourceUnavailableError before and after."""
        if not self.times_s[0] <= time_s <= self.times_s[-1]:
            raise SourceUnavailableError(f"the recording holds nothing at {time_s:.3f} s", "replay it from its start")
        after = min(bisect.bisect_right(self.times_s, time_s), len(self.times_s) - 1)
        start_s, end_s = self.times_s[after - 1], self.times_s[after]
        if end_s - start_s > self.longest_step_s and start_s < time_s < end_s:
            raise ReadingError(f"the recording has a gap from {start_s:g} s to {end_s:g} s")
        share = (time_s - start_s) / (end_s - start_s)
        return self.powers_w[after - 1] * (1 - share) + self.powers_w[after] * share


def parse_recording(text: str) -> Recording:
    """The rows of a CSV, and its scope where a first line says it.

    Raises:
        ReadingError: another scope, other columns, fewer than two rows, no numbers, time that stands or turns.
    """
    lines = text.splitlines()
    scope = _parse_scope(lines.pop(0)) if lines and lines[0].startswith("#") else None
    before = 0 if scope is None else 1
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise ReadingError(f"it is no CSV ({error})") from None
    if not rows or rows[0][:2] not in _COLUMNS:
        raise ReadingError(f"a recording begins with the columns {','.join(_COLUMNS[0])}")
    times_s: list[float] = []
    powers_w: list[float] = []
    for number, row in enumerate(rows[1:], start=2 + before):
        time_s, power_w = _parse_row(number, row, len(rows[0]))
        if times_s and time_s <= times_s[-1]:
            raise ReadingError(f"time does not grow in line {number} of the recording")
        times_s.append(time_s)
        powers_w.append(power_w)
    if len(times_s) < 2:
        raise ReadingError("a recording has at least two rows")
    return Recording(tuple(times_s), tuple(powers_w), scope)


def _parse_scope(line: str) -> Scope:
    named = line.removeprefix(_SCOPE).strip()
    for scope in get_args(Scope):
        if line.startswith(_SCOPE) and named == scope:
            found: Scope = scope
            return found
    raise ReadingError(f"its first line {line[:40]!r} is no scope")


def _parse_row(number: int, row: list[str], columns: int) -> tuple[float, float]:
    if len(row) != columns:
        raise ReadingError(
            f"line {number} of the recording is not {'two numbers' if columns == 2 else 'like its first'}"
        )
    try:
        time_s, power_w = map(float, row[:2])
    except ValueError:
        raise ReadingError(f"line {number} of the recording is not two numbers") from None
    if not (math.isfinite(time_s) and math.isfinite(power_w)):
        raise ReadingError(f"line {number} of the recording is not finite")
    return time_s, power_w


class Replay:
    """Plays a recording by the clock, from its first row at the moment of opening."""

    def __init__(self, recording: Recording, scope: Scope, clock: Callable[[], float] = time.monotonic) -> None:
        self._recording, self._scope, self._clock = recording, scope, clock
        self._start_s = clock()

    @property
    def meter(self) -> Meter:
        """A recording of some meter."""
        return Meter("replay", "recording", self._scope, "measured", period_s=self._recording.period_s)

    def read(self) -> Reading:
        """The recorded power at this moment."""
        return Reading(self._recording.power_at(self._recording.times_s[0] + self._clock() - self._start_s))

    def close(self) -> None:
        """Nothing is held."""


def open_replay(system: System, path: Path, clock: Callable[[], float] = time.monotonic) -> Replay:
    """Read a recording that the user names.

    Raises:
        SourceUnavailableError: it cannot be read, is not one, does not say of what, or holds what no running machine draws.
    """
    try:
        recording = parse_recording(system.read(path))
    except (OSError, ReadingError) as error:
        raise SourceUnavailableError(f"{path} is no recording ({error})", _REMEDY) from None
    if recording.scope is None:
        raise SourceUnavailableError(f"{path} does not say what it recorded", _REMEDY)
    unlikely_w = next((power_w for power_w in recording.powers_w if not 0 < power_w < MOST_W), None)
    if unlikely_w is not None:
        raise SourceUnavailableError(
            f"{path} holds {unlikely_w:g} W, which no running machine draws", "record it again, or leave those rows out"
        )
    return Replay(recording, recording.scope, clock)

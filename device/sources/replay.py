"""A recorded run in place of a meter: a CSV with the columns `t_s,p_w`, played at its own pace.

Between two rows power is a straight line, as everywhere here; in a gap there is none.
"""

import bisect
import csv
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading, Scope

COLUMNS = ["t_s", "p_w"]
_GAP_PERIODS, _GAP_S = 5, 1.0


@dataclass(frozen=True)
class Recording:
    """Times in seconds, which grow, and the power at each in watts."""

    times_s: tuple[float, ...]
    powers_w: tuple[float, ...]

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
    """The rows of a CSV. Raises ReadingError for other columns, fewer than two rows, no numbers, time that stands or turns."""
    rows = list(csv.reader(text.splitlines()))
    if not rows or rows[0] != COLUMNS:
        raise ReadingError(f"a recording begins with the columns {','.join(COLUMNS)}")
    times_s: list[float] = []
    powers_w: list[float] = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            time_s, power_w = map(float, row)
        except ValueError:
            raise ReadingError(f"line {number} of the recording is not two numbers") from None
        if not (math.isfinite(time_s) and math.isfinite(power_w)):
            raise ReadingError(f"line {number} of the recording is not finite")
        if times_s and time_s <= times_s[-1]:
            raise ReadingError(f"time does not grow in line {number} of the recording")
        times_s.append(time_s)
        powers_w.append(power_w)
    if len(times_s) < 2:
        raise ReadingError("a recording has at least two rows")
    return Recording(tuple(times_s), tuple(powers_w))


class Replay:
    """Plays a recording by the clock, from its first row at the moment of opening."""

    def __init__(self, recording: Recording, scope: Scope, clock: Callable[[], float] = time.monotonic) -> None:
        """`scope` is what was recorded: the file does not say it."""
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


def open_replay(path: Path, scope: Scope, clock: Callable[[], float] = time.monotonic) -> Replay:
    """Read a recording that the user names; it needs no machine.

    Raises:
        SourceUnavailableError: it cannot be read, or is not one.
    """
    try:
        return Replay(parse_recording(path.read_text("utf-8")), scope, clock)
    except (OSError, UnicodeDecodeError, ReadingError) as error:
        raise SourceUnavailableError(
            f"{path} is no recording ({error})", f"give a CSV file with the columns {','.join(COLUMNS)}"
        ) from None

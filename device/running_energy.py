"""Energy while samples still come: the integral of `energy` kept up to date, so that a window costs next to nothing."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from device.energy import gap_limit_s
from device.reading import Meter, Reading

_REMEMBERED = 2048
"""Samples at least: over three minutes at 10 Hz."""


class _Knot(NamedTuple):
    """A sample."""

    time_s: float
    value: float
    """Watts, or the counter in joules."""
    total_j: float
    """Since the first sample; over a gap it stands still."""
    gaps: int
    """How many there were until here."""


class RunningEnergy:
    """What a meter has counted since its first sample, at each sample, over bounded memory.

    As in `energy.window_energy` power between two samples is a straight line, a counter's growth is even, and over a gap
    nothing is known. A meter whose first sample has a counter is one that counts.
    """

    def __init__(self, meter: Meter) -> None:
        self._limit_s = gap_limit_s(meter)
        self._counts: bool | None = None
        self._knots: list[_Knot] = []
        self._times_s: list[float] = []
        """Those of the knots, to be searched."""

    @property
    def until_s(self) -> float:
        """The time of the newest sample; long ago before the first."""
        return self._times_s[-1] if self._times_s else float("-inf")

    def add(self, time_s: float, reading: Reading) -> None:
        """Take the next sample; one without the quantity that this meter gives, or not later than the last, says nothing."""
        if self._counts is None:
            self._counts = reading.energy_j is not None
        value = reading.energy_j if self._counts else reading.power_w
        if value is None or time_s <= self.until_s:
            return
        self._knots.append(self._after_last(time_s, value))
        self._times_s.append(time_s)
        if len(self._knots) >= 2 * _REMEMBERED:
            del self._knots[:_REMEMBERED], self._times_s[:_REMEMBERED]

    def _after_last(self, time_s: float, value: float) -> _Knot:
        if not self._knots:
            return _Knot(time_s, value, 0.0, 0)
        last = self._knots[-1]
        elapsed_s, change = time_s - last.time_s, value - last.value
        if elapsed_s > self._limit_s or (self._counts and change < 0):
            return _Knot(time_s, value, last.total_j, last.gaps + 1)
        grown_j = change if self._counts else elapsed_s * (value + last.value) / 2
        return _Knot(time_s, value, last.total_j + grown_j, last.gaps)

    def between_j(self, start_s: float, end_s: float) -> float | None:
        """Joules from one moment to a later one; None where samples do not reach from edge to edge, or leave a gap."""
        if not self._times_s or start_s < self._times_s[0] or end_s > self._times_s[-1]:
            return None
        first, last = bisect_right(self._times_s, start_s) - 1, bisect_left(self._times_s, end_s)
        if self._knots[first].gaps != self._knots[last].gaps:
            return None
        return self._total_j(end_s) - self._total_j(start_s)

    def _total_j(self, time_s: float) -> float:
        """At a time between the first and the last sample."""
        place = bisect_right(self._times_s, time_s) - 1
        before = self._knots[place]
        within_s = time_s - before.time_s
        if not within_s:
            return before.total_j
        after = self._knots[place + 1]
        share = within_s / (after.time_s - before.time_s)
        change = share * (after.value - before.value)
        return before.total_j + (change if self._counts else within_s * (before.value + change / 2))

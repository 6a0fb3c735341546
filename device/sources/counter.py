"""Counters of energy in microjoules: totals that only grow, whatever the kernel's number does at its end."""

from device.errors import SourceUnavailableError


class EnergyCounter:
    """Follows one counter. `range_uj` is where it begins anew; None where it is too wide to get there.

    A smaller number than before is a wrap-around if less than half the range then lies between the two: half of a
    processor's range, 131 kJ, takes minutes at any load, and a counter is looked at many times a second. Otherwise the
    counter was reset, what was used meanwhile is lost, and no later figure may be set against an earlier one.
    """

    def __init__(self, range_uj: int | None = None) -> None:
        self._range_uj = range_uj or None
        self._last_uj: int | None = None
        self._total_uj = 0
        self._broken = False

    def energy_j(self, counted_uj: int) -> float:
        """The total after the counter said `counted_uj`. Raises SourceUnavailableError once it was reset."""
        if self._last_uj is None:
            self._last_uj = self._total_uj = counted_uj
        grown_uj = counted_uj - self._last_uj
        if grown_uj < 0 and self._range_uj is not None:
            grown_uj += self._range_uj
            self._broken = self._broken or grown_uj > self._range_uj // 2
        if self._broken or grown_uj < 0:
            self._broken = True
            raise SourceUnavailableError(
                "the energy counter was reset while it was in use", "begin the measurement anew"
            )
        self._last_uj, self._total_uj = counted_uj, self._total_uj + grown_uj
        return self._total_uj / 1e6

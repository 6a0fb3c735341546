"""Figures with what they measure: those of different scope are not added, subtracted, divided or ranked."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from device.errors import ScopeError
from device.reading import Meter


def require_same_scope(meters: Iterable[Meter]) -> None:
    """Refuse to put together what measures different things.

    Raises:
        ScopeError: with the scopes and where they come from.
    """
    scopes = {meter.scope: meter for meter in meters}
    if len(scopes) > 1:
        named = " and ".join(f"{scope} ({meter.source})" for scope, meter in sorted(scopes.items()))
        raise ScopeError(f"{named} do not measure the same; measure both with a meter of one scope")


@dataclass(frozen=True)
class Figure:
    """One number that a meter led to. Equal only to the same number of the same meter."""

    value: float
    unit: str
    meter: Meter
    systematic: float | None = None
    """How far the sensor itself may be off, in `unit`, however often it is read; None is unquantified, not zero."""

    def __add__(self, other: "Figure") -> "Figure":
        self._require_like(other)
        return Figure(self.value + other.value, self.unit, self._meter_with(other), self._joint(other))

    def __sub__(self, other: "Figure") -> "Figure":
        self._require_like(other)
        return Figure(self.value - other.value, self.unit, self._meter_with(other), self._joint(other))

    def __lt__(self, other: "Figure") -> bool:
        self._require_like(other)
        return self.value < other.value

    def __le__(self, other: "Figure") -> bool:
        self._require_like(other)
        return self.value <= other.value

    def __gt__(self, other: "Figure") -> bool:
        return other < self

    def __ge__(self, other: "Figure") -> bool:
        return other <= self

    def ratio(self, other: "Figure") -> float:
        """How many times the other."""
        self._require_like(other)
        return self.value / other.value

    def _require_like(self, other: "Figure") -> None:
        require_same_scope((self.meter, other.meter))
        if self.unit != other.unit:
            raise ScopeError(f"{self.unit} and {other.unit} are not the same unit; convert one of them first")

    def _meter_with(self, other: "Figure") -> Meter:
        """What the two together come from: an estimate where either is one."""
        return self.meter if other.meter.kind == "measured" else replace(self.meter, kind="estimated")

    def _joint(self, other: "Figure") -> float | None:
        """Both off in the same direction: the worst case, since they come from like sensors."""
        if self.systematic is None or other.systematic is None:
            return None
        return self.systematic + other.systematic

"""One line of the result: median, quartiles and interval of a figure over the answers, and where it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device.figures import Figure
from device.reading import Meter
from device.statistics import Interval, median_interval, summarize


@dataclass(frozen=True)
class Statistic:
    """Of at least one answer."""

    unit: str
    count: int
    median: float
    quartile_low: float
    quartile_high: float
    interval: Interval | None
    """Of the median; None for a single value."""
    systematic: float | None = None
    """How far the sensor itself may be off; None is unquantified."""
    meter: Meter | None = None
    """None where the figure comes from the clock alone."""

    @property
    def iqr(self) -> float:
        """What the middle half spans."""
        return self.quartile_high - self.quartile_low


def of_values(unit: str, values: Sequence[float]) -> Statistic | None:
    """Of figures by the clock; None where there is none."""
    if not values:
        return None
    numbers = np.array(values, dtype=np.float64)
    low, median, high = (float(value) for value in np.quantile(numbers, (0.25, 0.5, 0.75)))
    return Statistic(unit, len(numbers), median, low, high, median_interval(numbers))


def of_figures(figures: Sequence[Figure]) -> Statistic | None:
    """Of figures of one meter; None where there is none."""
    if not figures:
        return None
    found = summarize(figures)
    return Statistic(
        found.unit,
        found.count,
        found.median,
        found.quartile_low,
        found.quartile_high,
        found.interval,
        found.systematic,
        found.meter,
    )

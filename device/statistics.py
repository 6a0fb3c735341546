"""Several answers in one line: median, quartiles, an interval for the median, and the sensor's own error beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from device.figures import Figure, require_same_scope
from device.reading import Meter
from device.trace import Numbers

COVERAGE = 0.95
BOOTSTRAP_FROM = 20
DRAWS = 10_000


@dataclass(frozen=True)
class Interval:
    """Where the median of all answers like these lies, with at least the probability `coverage`."""

    low: float
    high: float
    coverage: float
    """Exact for order statistics; nominal for the bootstrap."""
    method: Literal["order statistics", "bootstrap"]


@dataclass(frozen=True)
class Summary:
    """Several figures of one meter."""

    unit: str
    meter: Meter
    count: int
    median: float
    quartile_low: float
    quartile_high: float
    interval: Interval | None
    """None for a single value."""
    systematic: float | None
    """The largest of the figures'; None where one of them is unquantified. Not part of the interval."""

    @property
    def iqr(self) -> float:
        """What the middle half spans."""
        return self.quartile_high - self.quartile_low


def summarize(figures: Sequence[Figure], seed: int = 0) -> Summary:
    """The summary of at least one figure.

    Raises:
        ScopeError: they do not measure the same.
        ValueError: there is none, or their units or meters differ.
    """
    units = {figure.unit for figure in figures}
    if len(units) != 1:
        raise ValueError(f"one unit is needed, not {sorted(units)}")
    require_same_scope(figure.meter for figure in figures)
    if any(figure.meter != figures[0].meter for figure in figures):
        raise ValueError("one meter is needed, or one calibration; summarize the others by themselves")
    values = np.array([figure.value for figure in figures])
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    known = [figure.systematic for figure in figures if figure.systematic is not None]
    return Summary(
        units.pop(),
        figures[0].meter,
        len(values),
        float(median),
        float(low),
        float(high),
        median_interval(values, seed),
        max(known) if len(known) == len(figures) else None,
    )


def median_interval(values: Numbers, seed: int = 0) -> Interval | None:
    """By order statistics below twenty values, by the bootstrap from there on; None for fewer than two."""
    if len(values) < 2:
        return None
    return order_interval(values) if len(values) < BOOTSTRAP_FROM else bootstrap_interval(values, seed)


def order_interval(values: Numbers) -> Interval:
    """The narrowest pair of values, as far from either end, that covers 95 %: any continuous distribution will do.

    Fewer than six values do not reach that: then smallest to largest, with what it does cover (five: 93.75 %).
    """
    ordered, rank = np.sort(values), 1
    while 2 * (rank + 1) <= len(ordered) and order_coverage(len(ordered), rank + 1) >= COVERAGE:
        rank += 1
    coverage = order_coverage(len(ordered), rank)
    return Interval(float(ordered[rank - 1]), float(ordered[-rank]), coverage, "order statistics")


def order_coverage(count: int, rank: int) -> float:
    """The probability that the median lies between the `rank`-th smallest and the `rank`-th largest of `count` values.

    It is missed where fewer than `rank` values fall on one side of it, each with one half: exact, from the binomial.
    """
    missed = 2 * sum(math.comb(count, below) for below in range(rank))
    return float(1 - missed / 2**count)


def bootstrap_interval(values: Numbers, seed: int = 0) -> Interval:
    """Percentiles of the medians of values drawn with replacement; the same seed gives the same interval."""
    generator = np.random.default_rng(seed)
    medians = np.median(generator.choice(values, (DRAWS, len(values))), axis=1)
    low, high = np.quantile(medians, ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2))
    return Interval(float(low), float(high), COVERAGE, "bootstrap")

"""Intervals against their definition, and summaries of figures."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ScopeError
from device.figures import Figure
from device.statistics import bootstrap_interval, median_interval, order_coverage, order_interval, summarize
from tests.device.meters import INA3221, other_scope


@pytest.mark.parametrize("count", range(2, 11))
def test_coverage_is_that_of_all_ways_to_fall_on_either_side(count: int) -> None:
    ways = np.array(list(product((0, 1), repeat=count))).sum(axis=1)  # how many values are below the median
    for rank in range(1, count // 2 + 1):
        assert order_coverage(count, rank) == pytest.approx(np.mean((ways >= rank) & (ways <= count - rank)))


def test_six_values_cover_96_9_percent_from_least_to_most() -> None:
    interval = order_interval(np.array([3.0, 1.0, 6.0, 2.0, 5.0, 4.0]))
    assert (interval.low, interval.high) == (1.0, 6.0)
    assert interval.coverage == pytest.approx(0.96875)


def test_five_values_say_that_they_cover_less() -> None:
    assert order_interval(np.arange(5.0)).coverage == pytest.approx(0.9375)


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (17, 5), (19, 5)])
def test_ranks_are_those_of_the_published_tables(count: int, rank: int) -> None:
    """Conover, Practical Nonparametric Statistics, and every table of the sign test's interval at 95 %."""
    interval = order_interval(np.arange(1.0, count + 1))
    assert (interval.low, interval.high) == (rank, count + 1 - rank)
    assert interval.coverage >= 0.95


def test_order_intervals_hold_the_true_median_as_often_as_they_say() -> None:
    draws = np.random.default_rng(3).exponential(size=(4000, 9))
    held = [order_interval(values) for values in draws]
    share = np.mean([interval.low <= np.log(2) <= interval.high for interval in held])
    assert share == pytest.approx(order_coverage(9, 2), abs=0.012)


def test_the_bootstrap_begins_at_twenty() -> None:
    values = np.random.default_rng(1).normal(size=20)
    few, many = median_interval(values[:19]), median_interval(values)
    assert few is not None
    assert many is not None
    assert (few.method, many.method) == ("order statistics", "bootstrap")
    assert median_interval(values[:1]) is None


def test_the_bootstrap_is_seeded_and_near_the_order_statistics() -> None:
    values = np.random.default_rng(2).normal(size=60)
    interval = bootstrap_interval(values, seed=4)
    assert interval == bootstrap_interval(values, seed=4)
    ordered = order_interval(values)
    assert interval.low == pytest.approx(ordered.low, abs=0.15)
    assert interval.high == pytest.approx(ordered.high, abs=0.15)
    assert interval.low < np.median(values) < interval.high


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_an_interval_holds_the_median_of_its_values(values: list[float]) -> None:
    interval = median_interval(np.array(values))
    assert interval is not None
    assert interval.low <= np.median(values) <= interval.high


def figures(*values: float, systematic: float | None = 0.1) -> list[Figure]:
    return [Figure(value, "W", INA3221, systematic) for value in values]


def test_a_summary_of_figures() -> None:
    summary = summarize([*figures(5, 1, 4, 2, 3), Figure(6.0, "W", INA3221, 0.3)])
    assert (summary.median, summary.quartile_low, summary.quartile_high, summary.iqr) == (3.5, 2.25, 4.75, 2.5)
    assert (summary.count, summary.unit, summary.meter) == (6, "W", INA3221)
    assert summary.interval is not None
    assert (summary.interval.low, summary.interval.high) == (1.0, 6.0)
    assert summary.systematic == 0.3


def test_one_unquantified_figure_makes_the_summary_so() -> None:
    assert summarize([*figures(1, 2), *figures(3, systematic=None)]).systematic is None


def test_one_figure_has_no_interval() -> None:
    assert summarize(figures(2.0)).interval is None


def test_what_does_not_measure_the_same_is_not_summarized() -> None:
    with pytest.raises(ScopeError, match="do not measure the same"):
        summarize([*figures(1, 2), Figure(3.0, "W", other_scope(INA3221))])
    with pytest.raises(ValueError, match="one meter is needed"):
        summarize([*figures(1, 2), Figure(3.0, "W", replace(INA3221, correction="1.02 x"))])
    with pytest.raises(ValueError, match=r"not \['J', 'W'\]"):
        summarize([*figures(1, 2), Figure(3.0, "J", INA3221)])
    with pytest.raises(ValueError, match="one unit"):
        summarize([])

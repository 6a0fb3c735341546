"""Closed forms and values worked out by hand; the reference values of Wilson and McNemar are from the literature."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.tasks.metrics import (
    accuracy,
    bootstrap_interval,
    class_scores,
    confusion_matrix,
    macro,
    majority_matrix,
    mcnemar_p,
    paired_ratio,
    weighted,
    wilson_interval,
)


def test_wilson_solves_its_equation() -> None:
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; the ends satisfy |share - p| = z sqrt(p(1-p)/n)."""
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    for end in (low, high):
        assert abs(81 / 263 - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / 263))


@given(st.integers(1, 3000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_holds_the_share_and_stays_within_bounds(case: tuple[int, int]) -> None:
    low, high = wilson_interval(*case)
    assert 0 <= low <= case[0] / case[1] <= high <= 1
    assert high - low < 1


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_mcnemar_counts_the_coin_tosses() -> None:
    """Against the enumeration of all outcomes of n coins."""
    for fixed, broken in [(0, 0), (0, 1), (1, 4), (3, 3), (2, 8), (9, 1)]:
        n = fixed + broken
        extreme = sum(
            1 for tosses in itertools.product((0, 1), repeat=n) if abs(sum(tosses) - n / 2) >= abs(fixed - n / 2)
        )
        assert mcnemar_p(fixed, broken) == pytest.approx(extreme / 2**n)
        assert mcnemar_p(fixed, broken) == mcnemar_p(broken, fixed)


def test_class_scores_by_hand() -> None:
    """Ten items: a 5, b 3, c 2; a is right 4 times, b 2, c never; once no usable answer."""
    gold = [0] * 5 + [1] * 3 + [2] * 2
    chosen = [0, 0, 0, 0, 1, 1, 1, 0, 1, None]
    matrix = confusion_matrix(gold, chosen, 3)
    assert matrix.tolist() == [[4, 1, 0, 0], [1, 2, 0, 0], [0, 1, 0, 1]]
    a, b, c = class_scores(matrix, ["a", "b", "c"])
    assert (a.precision, a.recall, a.support, a.chosen) == (4 / 5, 4 / 5, 5, 5)
    assert (b.precision, b.recall, b.support, b.chosen) == (2 / 4, 2 / 3, 3, 4)
    assert [a.f1, b.f1] == pytest.approx([4 / 5, 4 / 7])
    assert (c.precision, c.recall, c.f1, c.support, c.chosen) == (0.0, 0.0, 0.0, 2, 0)
    assert accuracy(matrix) == 0.6
    assert macro([a, b, c]).f1 == pytest.approx((4 / 5 + 4 / 7 + 0) / 3)
    assert weighted([a, b, c]).precision == pytest.approx((5 * 4 / 5 + 3 * 2 / 4) / 10)
    assert weighted([a, b, c]).recall == pytest.approx(accuracy(matrix))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_weighted_recall_is_accuracy_and_a_lone_class_weighs_all(pairs: list[tuple[int, int]]) -> None:
    gold, chosen = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    matrix = confusion_matrix(gold, chosen, 3)
    scores = class_scores(matrix, ["a", "b", "c"])
    assert weighted(scores).recall == pytest.approx(accuracy(matrix))
    for score in scores:
        if score.precision + score.recall:
            assert score.f1 == pytest.approx(2 * score.precision * score.recall / (score.precision + score.recall))


@pytest.mark.parametrize(
    ("counts", "share", "f1"),
    [((276, 169, 55), 55.2, 23.7), ((353, 309, 346, 265), 27.7, 10.9), ((1348, 1085, 925, 825), 32.2, 12.2)],
)
def test_majority_rows_of_the_official_sets(counts: tuple[int, ...], share: float, f1: float) -> None:
    """The class counts of the whole PubMedQA-L, MedQA and MedMCQA sets and the majority figures known for them."""
    matrix = np.hstack([np.diag(counts), np.zeros((len(counts), 1), int)]).astype(np.int64)
    constant = majority_matrix(matrix)
    assert accuracy(constant) * 100 == pytest.approx(share, abs=0.05)
    assert macro(class_scores(constant, "ABCD"[: len(counts)])).f1 * 100 == pytest.approx(f1, abs=0.05)


def test_bootstrap_comes_near_the_normal_interval() -> None:
    gold = [0, 1] * 200
    chosen: list[int | None] = [*[0] * 300, *[1] * 100]
    matrix = confusion_matrix(gold, chosen, 2)
    share = accuracy(matrix)
    half = 1.96 * math.sqrt(share * (1 - share) / 400)
    low, high = bootstrap_interval(gold, chosen, 2, accuracy)
    assert low == pytest.approx(share - half, abs=0.01)
    assert high == pytest.approx(share + half, abs=0.01)
    assert bootstrap_interval(gold, chosen, 2, accuracy) == (low, high)
    assert bootstrap_interval([], [], 2, accuracy) == (0.0, 1.0)


def test_a_paired_ratio_has_the_delta_methods_interval() -> None:
    """ln of the ratio of two paired shares has variance (only one + only other) / (hits · base) for many items."""
    both, ours, theirs, none = 300, 60, 90, 150
    first = [True] * (both + ours) + [False] * (theirs + none)
    second = [True] * both + [False] * ours + [True] * theirs + [False] * none
    found = paired_ratio(first, second)
    assert found is not None
    value, low, high = found
    hits, base = both + ours, both + theirs
    assert value == pytest.approx(hits / base)
    half = 1.96 * math.sqrt((ours + theirs) / (hits * base))
    assert math.log(low / value) == pytest.approx(-half, rel=0.1)
    assert math.log(high / value) == pytest.approx(half, rel=0.1)


def test_equal_answers_have_ratio_one_and_no_width() -> None:
    said = [True, False, True]
    assert paired_ratio(said, said) == (1.0, 1.0, 1.0)
    assert paired_ratio(said, [False] * 3) is None
    assert paired_ratio([False] * 3, said) == (0.0, 0.0, 0.0)

"""Loss rises and their intervals: exact values, pairing, coverage; and the verdicts made of them."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.compare.bootstrap import Documents, draw_weights, estimate, ratio, rises
from compressor.compare.cell import Measured, Method, dense_cell
from compressor.compare.summary import (
    Column,
    Scores,
    Standing,
    best_of,
    compare_methods,
    healings,
    standing,
    table_row,
    verdicts,
)
from compressor.report.canvas import spread
from compressor.report.figures import knee


def problem(documents: int = 40, seed: int = 0) -> Documents:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(20, 500, documents).astype(np.float64)
    return Documents(tokens * generator.uniform(2.5, 3.5, documents), tokens)


def test_a_uniform_rise_is_the_same_in_every_draw() -> None:
    documents = problem()
    draws = rises(documents, [documents.dense + 0.25 * documents.tokens], draw_weights(40))
    np.testing.assert_allclose(draws, 0.25)


def test_the_value_is_the_difference_of_log_perplexities_over_all_tokens() -> None:
    documents = problem()
    nats = documents.dense * np.linspace(1, 1.4, 40)
    expected = math.log(
        math.exp(nats.sum() / documents.tokens.sum()) / math.exp(documents.dense.sum() / documents.tokens.sum())
    )
    found = estimate(rises(documents, [nats], draw_weights(40)))
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """The rise of documents drawn from a known distribution: about 95 of 100 intervals hold its mean."""
    generator = np.random.default_rng(5)
    weights = draw_weights(50)
    tokens = np.full(50, 100.0)
    held = 0
    for _ in range(200):
        extra = generator.normal(0.3, 0.2, 50) * tokens
        found = estimate(rises(Documents(np.zeros(50), tokens), [extra], weights))
        held += found.low <= 0.3 <= found.high
    assert 178 <= held <= 199


def test_a_ratio_is_paired_and_absent_where_the_other_does_not_rise() -> None:
    documents = problem()
    weights = draw_weights(40)
    noise = np.random.default_rng(1).normal(0, 1, 40) * documents.tokens
    theirs = rises(documents, [documents.dense + 0.4 * documents.tokens + 0.1 * noise], weights)
    found = ratio(theirs / 2, theirs)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert ratio(theirs, rises(documents, [documents.dense + noise], weights)) is None


OURS, OTHER, TYR = (
    Method("obs-exact", "uniform", "dense", 16),
    Method("wanda", "uniform"),
    Method("obs", "uniform", "own", 16),
)


def scores(share: float = 0.5) -> Scores:
    documents = problem(30)
    finished = {}
    for method, rise in ((OURS, 0.1), (OTHER, 0.5), (TYR, 0.2), (Method("random", "uniform"), 2.0)):
        for seed in (0, 1):
            cell = method.at(share, seed)
            nats = documents.dense + (rise + 0.01 * seed) * documents.tokens
            rows = [(float(value), int(count)) for value, count in zip(nats, documents.tokens, strict=True)]
            finished[cell] = Measured(cell, {"text": rows}, 3.0 + rise, (64,), 1000, 1.0)
    rows = [(float(value), int(count)) for value, count in zip(documents.dense, documents.tokens, strict=True)]
    finished[dense_cell()] = Measured(dense_cell(), {"text": rows}, 3.0, (128,), 2000, 1.0)
    return Scores([Column("text", "text", tuple(range(30)))], finished)


def test_verdicts_are_against_the_best_published_and_against_tyr() -> None:
    found = verdicts(scores(), OURS, [OTHER, Method("random", "uniform")], TYR, 0.5)
    assert [(item.other, item.goal, item.met) for item in found] == [
        (OTHER.label, 0.4, True), (TYR.label, 0.8, True),
    ]  # fmt: skip
    assert found[0].ratio is not None
    assert found[0].ratio.value == pytest.approx(0.105 / 0.505)
    assert found[1].difference.value == pytest.approx(-0.1)
    assert verdicts(scores(0.3), OURS, [OTHER], TYR, 0.3)[0].goal is None
    worse = compare_methods(scores(), OTHER, OURS, share=0.5, column="text", goal=0.4)
    assert worse is not None
    assert worse.met is False


def test_rows_average_over_seeds() -> None:
    row = table_row(scores(), OURS, 0.5)
    assert row is not None
    assert row["seeds"] == [0, 1]
    assert row["texts"]["text"]["rise"]["value"] == pytest.approx(0.105)
    assert row["texts"]["text"]["rise_by_seed"] == pytest.approx([0.1, 0.11])
    assert table_row(scores(), Method("taylor", "uniform"), 0.5) is None
    assert best_of(scores(), [OTHER, OURS], 0.5, "text") == OURS


def test_the_knee_of_a_bent_line_is_its_bend() -> None:
    shares = [0.0, 0.2, 0.4, 0.6, 0.8]
    assert knee(shares, [math.exp(value) for value in (3, 3.01, 3.02, 3.5, 4.0)]) == 2
    assert knee(shares[:3], [1, 2, 3]) is None
    assert knee(shares, [math.exp(value) for value in (3, 3.9, 4.0, 4.05, 4.1)]) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.2))
def test_direct_labels_never_overlap_and_keep_their_order(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap)
    assert min(placed) >= -1e-9
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    heights = [placed[index] for index in order]
    assert all(upper - lower >= gap - 1e-9 for lower, upper in pairwise(heights))


def test_ours_stands_below_every_baseline_without_atp_and_with_it() -> None:
    """ATP has the first seed only, so that pair is judged there."""
    known = scores()
    atp = Method("atp", "own")
    for rise, below in ((0.3, True), (0.05, False)):
        cell = atp.at(0.5, 0)
        documents = problem(30)
        nats = documents.dense + rise * documents.tokens
        rows = [(float(value), int(count)) for value, count in zip(nats, documents.tokens, strict=True)]
        finished = {**known.finished, cell: Measured(cell, {"text": rows}, 3.0, (64,), 1000, 1.0)}
        both = Scores(list(known.columns.values()), finished)
        assert standing(both, OURS, [OTHER, TYR], atp, share=0.5, column="text") == Standing(
            0.5, 0.5, "text", True, below
        )
    alone = standing(known, OTHER, [OURS, TYR], atp, share=0.5, column="text")
    assert alone == Standing(0.5, 0.5, "text", False, None)


def test_healing_is_held_against_the_dense_model_healed_alike() -> None:
    """Dense loses 0.3 by healing (rises by −0.3), ours ends 0.4 above that from a rise of 0.8: half is recovered."""
    documents = problem(30)
    cells = {
        dense_cell(): 0.0,
        dense_cell("medquad"): -0.3,
        OURS.at(0.5, 0): 0.8,
        replace(OURS, heal="medquad").at(0.5, 0): 0.1,
    }
    finished = {}
    for cell, rise in cells.items():
        nats = documents.dense + rise * documents.tokens
        rows = [(float(value), int(count)) for value, count in zip(nats, documents.tokens, strict=True)]
        widths = (128,) if cell.criterion == "dense" else (64,)
        finished[cell] = Measured(cell, {"text": rows}, 3.0, widths, 1000, 1.0)
    known = Scores([Column("text", "text", tuple(range(30)))], finished)
    (found,) = healings(known, OURS, 0.5, 0, "medquad", is_ours=True)
    assert found.ratio == pytest.approx(math.exp(0.4))
    assert found.recovered == pytest.approx(0.5)
    assert (found.goal, found.met) == (1.6, True)
    (other,) = healings(known, OURS, 0.5, 0, "medquad", is_ours=False)
    assert (other.goal, other.met) == (None, None)
    assert healings(known, OURS, 0.5, 1, "medquad", is_ours=True) == []

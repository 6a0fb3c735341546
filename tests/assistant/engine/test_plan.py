"""What a step computes, by costs that are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.engine import rows as rows_module
from assistant.engine.plan import TILE_ROWS, plan_rows
from assistant.engine.rows import SMALL_ROWS, RowCosts, measure_rows
from models.runtime.batch import Batch
from models.runtime.context import Context
from tests.assistant.engine.conftest import COSTS

SIZES = [*range(1, SMALL_ROWS + 1), 64]
COST_TABLES = st.lists(st.floats(0.001, 1.0), min_size=len(SIZES), max_size=len(SIZES)).map(
    lambda values: RowCosts(dict(zip(SIZES, values, strict=True)))
)
GAINS = st.lists(
    st.lists(st.floats(0.01, 1.0), max_size=8).map(lambda values: sorted(values, reverse=True)), max_size=6
)
MOST = 128


@given(COST_TABLES, st.integers(0, 500), GAINS, st.floats(0.001, 2.0))
def test_every_plan_is_possible_and_moves_on(
    costs: RowCosts, prompt: int, gains: list[list[float]], limit_s: float
) -> None:
    writing = len(gains)
    if not writing and not prompt:
        return
    plan = plan_rows(costs, writing, prompt, gains, limit_s=limit_s, most=MOST)
    assert (plan.prompt > 0) == (prompt > 0)
    assert plan.prompt <= prompt
    assert all(0 <= drafted <= len(each) for drafted, each in zip(plan.drafts, gains, strict=True))
    assert plan.padding >= 0
    size = writing + plan.prompt + sum(plan.drafts) + plan.padding
    assert size <= MOST
    rate = (writing + plan.prompt + _gained(plan.drafts, gains)) / costs.of(size)
    assert rate >= (writing + plan.prompt) / costs.of(writing + plan.prompt) * (1 - 1e-9)


def _gained(drafts: tuple[int, ...], gains: list[list[float]]) -> float:
    return sum(sum(each[:drafted]) for drafted, each in zip(drafts, gains, strict=True))


@given(COST_TABLES, st.integers(1, 500), st.integers(0, 8), st.floats(0.001, 2.0))
def test_a_prompt_keeps_to_the_limit_or_takes_the_fewest_rows(
    costs: RowCosts, prompt: int, writing: int, limit_s: float
) -> None:
    plan = plan_rows(costs, writing, prompt, [[]] * writing, limit_s=limit_s, most=MOST)
    fewest = max(costs.cheapest(writing + 1) - writing, 1)
    whole_tile = not writing and plan.prompt == TILE_ROWS
    assert plan.prompt <= fewest or costs.of(writing + plan.prompt) <= limit_s * (1 + whole_tile)


def test_three_answers_run_with_a_padding_row_where_four_rows_cost_less() -> None:
    plan = plan_rows(COSTS, 3, 0, [[], [], []], limit_s=1.0, most=MOST)
    assert (plan.prompt, plan.drafts, plan.padding) == (0, (0, 0, 0), 1)


def test_drafts_fill_before_padding_and_the_likeliest_first() -> None:
    plan = plan_rows(COSTS, 3, 0, [[0.3], [0.9, 0.2], []], limit_s=1.0, most=MOST)
    assert (plan.drafts, plan.padding) == ((0, 1, 0), 0)


def test_drafts_that_rarely_come_true_are_not_computed() -> None:
    assert plan_rows(COSTS, 1, 0, [[0.3, 0.1, 0.03]], limit_s=1.0, most=MOST).drafts == (0,)
    assert plan_rows(COSTS, 1, 0, [[0.9, 0.8, 0.7]], limit_s=1.0, most=MOST).drafts == (3,)


def test_costs_between_and_beyond_measured_sizes_lie_on_lines() -> None:
    costs = RowCosts({1: 1.0, 2: 2.0, 16: 4.0, 32: 8.0})
    assert [costs.of(rows) for rows in (2, 9, 24, 64)] == [2.0, 3.0, 6.0, 16.0]
    assert (costs.cheapest(1), costs.cheapest(20)) == (1, 20)
    assert (costs.largest_within(6.0, 512), costs.largest_within(0.5, 512)) == (24, 0)


def test_rows_are_measured_and_the_context_left_empty(context: Context) -> None:
    costs = measure_rows(context)
    assert sorted(costs.elapsed_s) == [*range(1, SMALL_ROWS + 1), 32, 64, 128]
    assert min(costs.elapsed_s.values()) > 0
    assert context.seq_pos_max(0) == -1


def test_a_prompt_alone_is_read_in_whole_tiles() -> None:
    costs = RowCosts({1: 0.01, 2: 0.02})
    assert plan_rows(costs, 0, 500, [], limit_s=1.0, most=512).prompt == TILE_ROWS
    assert plan_rows(costs, 0, 90, [], limit_s=1.0, most=512).prompt == 90
    assert plan_rows(costs, 0, 500, [], limit_s=0.5, most=512).prompt == TILE_ROWS
    assert plan_rows(costs, 0, 500, [], limit_s=0.3, most=512).prompt == SMALL_ROWS
    assert plan_rows(costs, 1, 500, [[]], limit_s=1.0, most=512).prompt == 95


def test_a_prompt_beside_answers_is_read_at_the_size_that_is_fastest() -> None:
    times_s = [52, 98, 138, 106, 150, 190, 232, 197, 234, 272, 312, 263, 317, 355, 401, 261, 512, 996]  # of an 8B shape
    costs = RowCosts(dict(zip((*range(1, 17), 32, 64), (each / 1000 for each in times_s), strict=True)))
    beside_three = [plan_rows(costs, 3, 1000, [[]] * 3, limit_s=limit_s, most=512) for limit_s in (0.3, 0.25, 0.15)]
    assert [plan.prompt for plan in beside_three] == [13, 6, 2]
    assert plan_rows(costs, 1, 1000, [[]], limit_s=0.6, most=512).prompt == 31


def test_one_late_decode_is_not_taken_for_the_cost_of_a_size(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    late: set[int] = set()

    def timed(_context: Context, _batch: Batch, tokens: list[int]) -> float:
        """The first decode of each size is disturbed."""
        size = len(tokens)
        disturbed = size not in late
        late.add(size)
        return 0.07 * size + 0.2 * disturbed

    monkeypatch.setattr(rows_module, "_time_decode", timed)
    costs = measure_rows(context)
    assert [costs.cheapest(rows) for rows in range(1, 5)] == [1, 2, 3, 4]


def test_a_slow_board_is_not_kept_waiting_for_long_decodes(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    monkeypatch.setattr(rows_module, "_time_decode", lambda _context, _batch, tokens: 0.05 * len(tokens))
    costs = measure_rows(context)
    assert max(costs.elapsed_s) == 32  # which took 1.6 s
    assert costs.of(128) == pytest.approx(6.4)

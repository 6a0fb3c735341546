"""Costs are found again in timings made of them; predictions grow with what is asked for, in a straight line."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.unit_costs import (
    MICRO_BATCH_TOKENS,
    Timed,
    UnitCosts,
    fit_costs,
    fit_unit_costs,
    prompt_scores,
    searched_cells,
)
from device.workload import Workload, workload_of_catalogue
from models.catalogue import catalogue

COSTS = UnitCosts(4, 1e-4, 2e-5, 2.5e-11, 3e-11, 4e-12, 2e-10, 1e-9, 5e-11, 2e-9, 1e-11)
WORKS = [workload_of_catalogue(model) for model in catalogue()]


def pretend(work: Workload, costs: UnitCosts, *, prompt: bool = False, deep: bool = False) -> Timed:
    """The timings that exactly these costs would give. Each row's logits are asked for: no last FFN is left out."""
    whole = replace(work, last_ffn_multiply_adds=0, last_ffn_activations=0, output_bytes=0)
    timed = Timed(work, costs.answer_token_s(work, 0))
    if prompt:
        timed = replace(timed, prompt_tokens=512, prompt_s=costs.prompt_s(whole, 512))
    if deep:
        score_s = costs.prompt_score_s + work.head_dim * costs.prompt_element_s
        timed = replace(
            timed,
            deep_tokens=896,
            deep_answer_token_s=costs.answer_token_s(work, 896),
            deep_prompt_s=costs.prompt_s(whole, 512) + work.heads * 512 * 384 * score_s,
        )
    return timed


def probes(costs: UnitCosts) -> list[Timed]:
    wide, narrow = WORKS[2], WORKS[3]
    attention = Workload(2, 4 * 10**5, 7 * 10**5, 2 * 10**4, 0, 0, 64, 128, 10**4)
    return [
        pretend(wide, costs, prompt=True),
        pretend(narrow, costs, prompt=True),
        pretend(replace(wide, layers=1, matrix_bytes=10**6), costs),
        pretend(attention, costs, prompt=True, deep=True),
        pretend(replace(attention, layers=8, heads=256, head_dim=64), costs, prompt=True, deep=True),
    ]


def test_costs_are_found_again() -> None:
    found = asdict(fit_unit_costs(probes(COSTS), 4))
    assert found == pytest.approx(asdict(COSTS), rel=1e-6)


def test_files_of_another_kind_are_told_apart_or_refused() -> None:
    with pytest.raises(ValueError, match="3 timings do not tell 4 kinds of work apart"):
        fit_unit_costs(probes(COSTS)[:3], 4)


@given(
    costs=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=3).filter(any),
    data=st.data(),
)
def test_the_fit_is_exact_where_it_can_be(costs: list[float], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.lists(st.integers(1, 1000), min_size=len(costs), max_size=len(costs)), min_size=len(costs), max_size=6
        )
    )
    seconds = [sum(count * cost for count, cost in zip(row, costs, strict=True)) for row in rows]
    found = fit_costs(rows, seconds)
    assert min(found) >= 0
    for row, expected in zip(rows, seconds, strict=True):
        assert sum(count * cost for count, cost in zip(row, found, strict=True)) == pytest.approx(expected, rel=1e-5)


def test_no_cost_is_negative() -> None:
    """The second kind would have to cost less than nothing: it costs nothing, and the first is the best without it."""
    found = fit_costs([[1.0, 1.0], [1.0, 2.0]], [2.0, 1.0])
    assert found[1] == 0
    assert found[0] == pytest.approx((1 / 2 + 1) / (1 / 4 + 1))


@given(work=st.sampled_from(WORKS), cached=st.integers(0, 8000), tokens=st.integers(1, MICRO_BATCH_TOKENS))
def test_twice_the_layers_take_twice_as_long(work: Workload, cached: int, tokens: int) -> None:
    once = replace(work, output_bytes=0, last_ffn_multiply_adds=0, last_ffn_activations=0)
    twice = replace(
        once,
        layers=2 * once.layers,
        matrix_bytes=2 * once.matrix_bytes,
        multiply_adds=2 * once.multiply_adds,
        activations=2 * once.activations,
        heads=2 * once.heads,
    )
    costs = replace(COSTS, token_s=0.0)
    assert costs.answer_token_s(twice, cached) == pytest.approx(2 * costs.answer_token_s(once, cached))
    assert costs.prompt_s(twice, tokens) == pytest.approx(2 * costs.prompt_s(once, tokens))


@given(work=st.sampled_from(WORKS), fewer=st.integers(0, 8000), more=st.integers(0, 8000))
def test_a_fuller_cache_is_never_faster(work: Workload, fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    assert COSTS.answer_token_s(work, fewer) <= COSTS.answer_token_s(work, more)


def test_the_last_ffn_is_computed_for_one_row() -> None:
    work = replace(WORKS[2], last_ffn_activations=0)
    whole = COSTS.prompt_s(replace(work, last_ffn_multiply_adds=0), 100)
    left_out_s = 99 * work.last_ffn_multiply_adds * COSTS.multiply_add_s
    assert COSTS.prompt_s(work, 100) == pytest.approx(whole - left_out_s)


def test_attention_works_in_tiles_and_blocks() -> None:
    """Four tiles of 64 rows see one to four tiles of positions."""
    work = replace(WORKS[0], heads=1)
    assert prompt_scores(work, 0, 256) == 64 * 64 * (1 + 2 + 3 + 4)
    assert prompt_scores(work, 256, 64) == 64 * (256 + 64)
    assert [searched_cells(cached, 4) for cached in (0, 511, 512, 767, 768)] == [0, 511, 768, 768, 1024]
    assert [searched_cells(cached, 1) for cached in (0, 511, 512, 767, 768)] == [0, 511, 512, 767, 768]


@pytest.mark.parametrize("tokens", [0, 513])
def test_a_prompt_is_one_micro_batch(tokens: int) -> None:
    with pytest.raises(ValueError, match="1 to 512"):
        COSTS.prompt_s(WORKS[0], tokens)

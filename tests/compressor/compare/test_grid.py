"""Which cells are wanted when: choices follow tuning loss, never held-out loss; rates beyond the task's where 50% is cheap."""

from collections.abc import Callable

import pytest

from compressor.compare.cell import Cell, Measured, Method, dense_cell
from compressor.compare.grid import (
    ATP,
    SWEEP,
    TYR,
    Plan,
    ablations,
    candidates,
    choose_ours,
    heal_methods,
    judged_share,
    published,
    unhealed,
    wanted_cells,
)

PLAN = Plan((0.3, 0.5, 0.67), (0, 1))


def measured(cell: Cell, tuning_loss: float = 3.0) -> Measured:
    return Measured(cell, {"text": [(1.0, 1)]}, tuning_loss, (1,), 1, 1.0)


def finish(plan: Plan, rise: Callable[[Cell], float], tuning: Callable[[Cell], float]) -> dict[Cell, Measured]:
    """Everything that is wanted, wave after wave."""
    finished: dict[Cell, Measured] = {}
    for _ in range(10):
        missing = [cell for cell in wanted_cells(plan, finished, (), rise) if cell not in finished]
        if not missing:
            return finished
        finished |= {cell: measured(cell, tuning(cell)) for cell in missing}
    raise AssertionError("the plan never ends")


def favour(method: Method) -> Callable[[Cell], float]:
    return lambda cell: 2.0 if cell.method == method else 3.0


@pytest.mark.parametrize("best", candidates(), ids=lambda method: method.label)
def test_ours_is_the_form_with_the_lowest_tuning_loss(best: Method) -> None:
    finished = finish(PLAN, lambda cell: cell.share, favour(best))
    assert choose_ours(finished, 0.5, 0) == best
    second = {cell.method for cell in finished if cell.seed == 1 and cell.share == 0.5}
    assert second == {*published(), TYR, best}
    swept = {cell.share for cell in finished if cell.method == best and cell.seed == 0}
    assert swept == {*SWEEP, 0.3, 0.5, 0.67}


def test_the_first_wave_needs_no_result_and_the_main_share_has_every_method() -> None:
    first = wanted_cells(PLAN, {}, (), lambda cell: 0.0)
    assert first[0] == dense_cell()
    assert {cell.method for cell in first if cell.share == 0.5} == set(unhealed(PLAN, 0.5))
    assert set(unhealed(PLAN, 0.3)) == {*published(), TYR, ATP, *candidates()}
    assert {cell.seed for cell in first} == {0}
    assert len(set(first)) == len(first)


def test_failed_cells_do_not_hold_up_the_rest() -> None:
    first = wanted_cells(PLAN, {}, (), lambda cell: 0.0)
    broken = [cell for cell in first if cell.criterion == "taylor"]
    finished = {cell: measured(cell) for cell in first if cell not in broken}
    later = wanted_cells(PLAN, finished, broken, lambda cell: cell.share)
    assert {cell.seed for cell in later} == {0, 1}


@pytest.mark.parametrize(("power", "expected"), [(4.0, 0.8), (6.0, 0.9), (1.0, None), (12.0, None)])
def test_the_verdict_moves_to_where_ours_costs_something(power: float, expected: float | None) -> None:
    """Rise = 0.8 · share ** power: below 0.1 at 50%, the lowest rate that costs 0.3 or more, if there is one."""
    best = candidates()[0]

    def rise(cell: Cell) -> float:
        return float(0.8 * cell.share**power)

    finished = finish(PLAN, rise, favour(best))
    assert judged_share(PLAN, finished, rise) == expected
    if expected is not None:
        for seed in PLAN.seeds:
            there = {cell.method for cell in finished if cell.share == expected and cell.seed == seed}
            assert there == {*published(), TYR, best}


def test_healing_takes_the_dense_model_every_baseline_and_ours() -> None:
    best = candidates()[0]
    plan = Plan((0.5,), (0,), ("medquad",), sweep=False)
    finished = finish(plan, lambda cell: cell.share, favour(best))
    healed = {cell for cell in finished if cell.heal == "medquad"}
    assert dense_cell("medquad") in healed
    assert {cell.criterion for cell in healed} == {"dense", best.criterion, *(m.criterion for m in published())} - {
        "slicegpt"
    } | {"obs"}


def test_published_forms_have_their_authors_allocations_and_atp_stands_apart() -> None:
    found = published()
    assert Method("wanda", "sequential") in found
    assert {method.allocation for method in found if method.criterion == "taylor"} == {"llm-pruner", "uniform"}
    assert ATP not in found
    assert Method("wanda", "uniform", "dense") in ablations()["mask"]
    for share in PLAN.shares:
        assert ATP in unhealed(PLAN, share)


def test_healing_after_the_wider_plan_wants_healed_cells_only() -> None:
    """What the make targets compare and compare-heal ask for, one after the other in one folder."""
    best = candidates()[0]
    wide = Plan((0.3, 0.5, 0.67), (0, 1, 2))
    finished = finish(wide, lambda cell: cell.share, favour(best))
    healing = Plan((0.5, 0.67), (0, 1, 2), ("medquad", "meadow"), sweep=False)
    wanted = wanted_cells(healing, finished, (), lambda cell: cell.share)
    added = [cell for cell in wanted if cell not in finished]
    assert {cell.heal for cell in added} == {"medquad", "meadow"}
    assert {cell.seed for cell in added} == {0}
    methods = len(heal_methods(finished, 0.5, 0, "medquad"))
    assert len(added) == 2 * (1 + 2 * methods)
    both = healing.joined(wide)
    assert both == Plan((0.3, 0.5, 0.67), (0, 1, 2), ("medquad", "meadow"), sweep=True)
    assert wide.joined(healing) == both

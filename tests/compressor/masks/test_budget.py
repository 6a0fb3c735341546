"""Budgets of every kind: never exceeded, the most that fits, and refused with the possible range."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import BudgetError
from compressor.families import find_family
from compressor.masks.budget import Cost, neuron_ceiling, running_bytes
from compressor.recipe.tables import Budget
from models.boards import boards, find_board
from models.catalogue import find_in_catalogue
from models.memory import estimate_memory
from models.resolve import resolve_checkpoint

COST = Cost(
    layers=4, ffn=256, fixed_parameters=10_000, parameters_per_neuron=48, fixed_bytes=5_000, bytes_per_neuron=27.0
)


@pytest.mark.parametrize(
    ("budget", "kept"), [({"parameters": 10_000 + 48 * 600}, 512), ({"bytes": 5_000 + 27 * 800}, 768)]
)
def test_parameters_and_bytes_are_never_exceeded(budget: dict[str, int], kept: int) -> None:
    assert neuron_ceiling(Budget.model_validate(budget), COST, "uniform", 32) == kept
    blocks = neuron_ceiling(Budget.model_validate(budget), COST, "global", 32)
    assert blocks == (600 if "parameters" in budget else 800) // 32 * 32


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"parameters": 11_000}, "smallest possible is 16144, the largest 53008"),
        ({"parameters": 10_000_000}, "largest 53008"),
        ({"bytes": 100}, "smallest possible is 8456, the largest 29192"),
        ({"ffn_share": 0.99}, "at most 0.8750"),
    ],
)
def test_impossible_budgets_name_the_range(budget: dict[str, float], says: str) -> None:
    with pytest.raises(BudgetError, match=says):
        neuron_ceiling(Budget.model_validate(budget), COST, "uniform", 32)


def test_a_multiple_wider_than_the_ffn_is_refused() -> None:
    with pytest.raises(BudgetError, match=r"mask\.multiple = 512"):
        neuron_ceiling(Budget(ffn_share=0.5), COST, "uniform", 512)


@dataclass(frozen=True)
class Case:
    """A budget and the model that it is for."""

    kind: str
    limit: int
    share: float
    cost: Cost

    def budget(self) -> Budget:
        return Budget.model_validate(
            {self.kind: {"ffn_share": self.share, "board": "pi-5-4gb"}.get(self.kind, self.limit)}
        )

    def fits(self, kept: int) -> bool:
        cost = self.cost
        file_bytes = cost.fixed_bytes + cost.bytes_per_neuron * kept
        fits = {
            "ffn_share": (1 - self.share) * cost.neurons + 1e-9 >= kept,
            "parameters": cost.fixed_parameters + cost.parameters_per_neuron * kept <= self.limit,
            "bytes": file_bytes <= self.limit,
            "board": file_bytes + cost.running_bytes <= find_board("pi-5-4gb").usable_bytes,
        }
        return fits[self.kind]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    limit, each = draw(st.integers(1, 2**34)), draw(st.integers(3, 30_000))
    layers, ffn = draw(st.integers(1, 48)), 8 * draw(st.integers(1, 600))
    cost = Cost(layers, ffn, 10_000, each, 7_000, each * 18 / 32, running_bytes=limit // 3)
    kind = draw(st.sampled_from(["ffn_share", "parameters", "bytes", "board"]))
    return Case(kind, limit, draw(st.floats(0.001, 0.999)), cost)


@given(
    case=cases(),
    multiple=st.sampled_from([32, 64, 256]),
    method=st.sampled_from(["uniform", "global", "learned", "search"]),
)
def test_the_most_that_fits_and_never_more(case: Case, multiple: int, method: str) -> None:
    cost = case.cost
    step = cost.layers * multiple if method == "uniform" else multiple
    most = cost.layers * (cost.ffn // multiple) * multiple
    try:
        kept = neuron_ceiling(case.budget(), cost, method, multiple)
    except BudgetError:
        assert cost.ffn <= multiple or not case.fits(cost.layers * multiple) or case.fits(cost.neurons)
        return
    assert cost.layers * multiple <= kept < cost.neurons
    assert kept % step == 0
    assert kept <= most
    assert case.fits(kept)
    assert not case.fits(kept + step) or kept + step >= cost.neurons or kept + step > most


@given(first=st.floats(0.01, 0.87), second=st.floats(0.01, 0.87), method=st.sampled_from(["uniform", "global"]))
def test_a_larger_share_never_keeps_more(first: float, second: float, method: str) -> None:
    less, more = sorted((first, second))
    kept = [neuron_ceiling(Budget(ffn_share=share), COST, method, 32) for share in (less, more)]
    assert kept[0] >= kept[1]


def test_a_model_that_fits_the_board_unpruned_is_refused_saying_so() -> None:
    with pytest.raises(BudgetError, match=r"board = pi-5-8gb is impossible: .* the dense model fits as it is"):
        neuron_ceiling(Budget(board="pi-5-8gb"), COST, "uniform", 32)


@pytest.mark.parametrize("board", [board.id for board in boards()])
def test_a_board_holds_file_cache_and_buffers(board: str) -> None:
    """An imagined wide model, priced as the catalogue prices models: the widest that fits, and no wider."""
    model = find_in_catalogue("llama-3-8b")
    assert model is not None
    each = 3 * model.shapes.hidden * 18 / 32
    wide = 2_000_000
    estimate = estimate_memory(model, 8192)
    cost = Cost(
        layers=32,
        ffn=wide // 32 * 256,
        fixed_parameters=0,
        parameters_per_neuron=1,
        fixed_bytes=int(model.q4_0_bytes() - each * 32 * 14336),
        bytes_per_neuron=each,
        running_bytes=estimate.running_bytes,
    )
    kept = neuron_ceiling(Budget(board=board, context_tokens=8192), cost, "uniform", 256)
    room = find_board(board).usable_bytes - estimate.running_bytes - cost.fixed_bytes
    assert each * kept <= room < each * (kept + 32 * 256)


def test_running_bytes_grow_with_the_context_and_match_the_catalogue() -> None:
    config = json.loads((resolve_checkpoint("reference") / "config.json").read_text("utf-8"))
    shape = find_family(config).shape(config)
    model = find_in_catalogue("reference")
    assert model is not None
    estimate = estimate_memory(model, 2048)
    assert running_bytes(shape, 2048) == estimate.running_bytes
    assert running_bytes(shape, 2048) > running_bytes(shape, 512)


def test_retention_leaves_the_size_to_measurement() -> None:
    assert neuron_ceiling(Budget(retention=0.9), COST, "uniform", 32) == 4 * 224
    assert neuron_ceiling(Budget(retention=0.9), COST, "global", 32) == 4 * 256 - 32

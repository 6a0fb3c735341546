"""OBS in rounds against a slow direct computation: least squares solved anew for every possible removal."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.reconstruct.rounds import Rounds, damp, keep_by_rounds


def correlated(ffn: int, hidden: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A second moment with strong ties, and a weight."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(ffn, ffn, generator=generator, dtype=torch.float64)
    h = torch.randn(5 * ffn, ffn, generator=generator, dtype=torch.float64) @ mixing
    return h.T @ h, torch.randn(hidden, ffn, generator=generator, dtype=torch.float64)


def least_error(gram: torch.Tensor, weight: torch.Tensor, kept: list[int]) -> float:
    """min over W' of tr((W'P − W)·H·(W'P − W)ᵀ), P picking the columns in `kept`."""
    refit = torch.linalg.solve(gram[kept][:, kept], gram[kept] @ weight.T).T
    lacking = weight.clone()
    lacking[:, kept] -= refit
    return float(((lacking @ gram) * lacking).sum())


def greedy(gram: torch.Tensor, weight: torch.Tensor, width: int) -> list[int]:
    """One column at a time, the one whose removal leaves the least error."""
    kept = list(range(gram.shape[0]))
    while len(kept) > width:
        gone = min(kept, key=lambda column: least_error(gram, weight, [other for other in kept if other != column]))
        kept.remove(gone)
    return kept


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), ffn=st.integers(4, 12), data=st.data())
def test_one_neuron_a_round_is_exact_greedy_removal(seed: int, ffn: int, data: st.DataObject) -> None:
    gram, weight = correlated(ffn, 5, seed)
    width = data.draw(st.integers(1, ffn - 1))
    kept = keep_by_rounds(damp(gram.clone()), weight, width, Rounds("obs-exact", ffn - width))
    assert kept.tolist() == greedy(damp(gram.clone()), weight, width)


@pytest.mark.parametrize("count", [1, 3, 16, 40])
@pytest.mark.parametrize("criterion", ["obs", "obs-exact"])
def test_any_number_of_rounds_leaves_the_width(count: int, criterion: Any) -> None:
    gram, weight = correlated(32, 6, 1)
    kept = keep_by_rounds(damp(gram.clone()), weight, 13, Rounds(criterion, count))
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert kept.numel() == 13


def test_a_round_follows_the_published_formula() -> None:
    """Two rounds of three: H⁻¹ inverted anew and W solved anew for the second, the gradient that of the first."""
    gram, weight = correlated(10, 4, 5)
    damped = damp(gram)
    gradient, kept, current = weight @ damped, list(range(10)), weight
    for _ in range(2):
        inverse = torch.linalg.inv(damped[kept][:, kept])
        score = (current * (current / (2 * inverse.diagonal()) + gradient[:, kept])).sum(0)
        gone = set(score.argsort()[:3].tolist())
        kept = [column for place, column in enumerate(kept) if place not in gone]
        current = torch.linalg.solve(damped[kept][:, kept], damped[kept] @ weight.T).T
    assert keep_by_rounds(damped.clone(), weight, 4, Rounds("obs", 2)).tolist() == kept


def test_of_two_equal_neurons_one_goes_at_no_cost() -> None:
    """Scores without the second moment would keep both; the update gives the other one's work to the one that stays."""
    weight = correlated(6, 3, 2)[1]
    double = torch.cat((torch.arange(6), torch.tensor([2])))
    gram = torch.eye(6, dtype=torch.float64)[double][:, double]
    kept = keep_by_rounds(damp(gram.clone()), weight[:, double], 6, Rounds("obs-exact", 1))
    assert sum(column in (2, 6) for column in kept.tolist()) == 1


def test_dead_neurons_go_first() -> None:
    gram, weight = correlated(8, 3, 3)
    gram[5], gram[:, 5] = 0, 0
    assert 5 not in keep_by_rounds(damp(gram.clone()), weight, 7, Rounds("obs-exact", 1)).tolist()

"""Scores to kept neurons: invariants."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import BudgetError
from compressor.masks.budget import Cost, neuron_ceiling
from compressor.masks.choose import choose
from compressor.recipe.tables import Budget


def layer_scores(layers: int, ffn: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(ffn, generator=generator, dtype=torch.float64) * (index + 1) for index in range(layers)]


@given(
    share=st.floats(0.01, 0.86),
    layers=st.integers(1, 5),
    blocks=st.integers(2, 9),
    rule=st.tuples(st.sampled_from(["uniform", "global"]), st.sampled_from([32, 64])),
    seed=st.integers(0, 99),
)
def test_masks_keep_the_exact_total(share: float, layers: int, blocks: int, rule: tuple[str, int], seed: int) -> None:
    method, multiple = rule
    ffn = blocks * multiple
    cost = Cost(layers, ffn, 0, 1, 0, 1.0)
    budget = Budget(ffn_share=share)
    total = layers * ffn
    step = layers * multiple if method == "uniform" else multiple
    allowed = int((1 - share) * total + 1e-9) // step * step
    if allowed < layers * multiple:
        with pytest.raises(BudgetError, match="at most"):
            neuron_ceiling(budget, cost, method, multiple)
        return
    kept_total = neuron_ceiling(budget, cost, method, multiple)
    assert kept_total == allowed
    scores = layer_scores(layers, ffn, seed)
    kept = choose(scores, kept_total, method, multiple)
    assert sum(indices.numel() for indices in kept) == kept_total
    for indices, layer in zip(kept, scores, strict=True):
        assert indices.numel() % multiple == 0
        assert indices.numel() > 0
        assert bool((indices.diff() > 0).all())
        dropped = torch.ones(ffn, dtype=torch.bool)
        dropped[indices] = False
        if bool(dropped.any()):
            assert float(layer[indices].min()) >= float(layer[dropped].max())


@given(seed=st.integers(0, 50), method=st.sampled_from(["uniform", "global"]))
def test_masks_follow_a_permutation(seed: int, method: str) -> None:
    scores = layer_scores(3, 128, seed)
    order = torch.randperm(128, generator=torch.Generator().manual_seed(seed))
    kept = choose(scores, 192, method, 32)
    moved = choose([layer[order] for layer in scores], 192, method, 32)
    for ours, theirs in zip(kept, moved, strict=True):
        assert torch.equal(order[theirs].sort().values, ours)


def test_global_gives_more_to_the_layer_with_more_salient_neurons() -> None:
    """Standardised, a layer with a few outliers has its mass below the threshold."""
    even = torch.linspace(0, 1, 128, dtype=torch.float64)
    peaked = torch.cat([torch.zeros(120), torch.full((8,), 100.0)]).double()
    widths = [indices.numel() for indices in choose([even, peaked], 96, "global", 32)]
    assert widths == [64, 32]

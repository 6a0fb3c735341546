"""What holds for every criterion that looks at one layer: order, equal neurons, scales."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.calibrate import NeuronSums
from compressor.criteria.activation import activation
from compressor.criteria.chance import chance
from compressor.criteria.flap import flap
from compressor.criteria.jacobian import jacobian
from compressor.criteria.layer import LayerInputs
from compressor.criteria.magnitude import magnitude_all, magnitude_down
from compressor.criteria.saliency import percentile_ranks, saliency
from compressor.criteria.wanda import wanda
from compressor.families.contract import LayerNames
from compressor.families.llama import LlamaFamily

HIDDEN, FFN, TOKENS = 6, 12, 20
NAMES: LayerNames = LlamaFamily().layer_names(0)
FEW = settings(max_examples=25, deadline=None)
BY_LAYER = [saliency, jacobian, magnitude_down, magnitude_all, activation, wanda, flap]


class Held:
    """The three matrices of one layer as a tensor source."""

    def __init__(self, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> None:
        self.tensors = {NAMES.gate: gate, NAMES.up: up, NAMES.down: down}

    def names(self) -> list[str]:
        return sorted(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def tensor(self, name: str) -> torch.Tensor:
        return self.tensors[name]


def layer(gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, x: torch.Tensor) -> LayerInputs:
    """What a calibration on inputs x (tokens, hidden) leaves."""
    gates, ups = x @ gate.T, x @ up.T
    sigmoid = torch.sigmoid(gates)
    phi, slopes = gates * sigmoid, sigmoid * (1 + gates * (1 - sigmoid))
    steep = (slopes * ups)[:, :, None] * gate + phi[:, :, None] * up
    h = phi * ups
    sums = NeuronSums(h.square().sum(0), h.abs().sum(0), h.sum(0), slopes.square().sum(0), steep.square().sum((0, 2)))
    return LayerInputs(sums, x.shape[0], Held(gate, up, down), NAMES)


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((FFN, HIDDEN), (FFN, HIDDEN), (HIDDEN, FFN), (TOKENS, HIDDEN))
    gate, up, down, x = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return gate, up, down, x


@pytest.mark.parametrize("criterion", BY_LAYER)
@FEW
@given(seed=st.integers(0, 1000))
def test_scores_follow_a_permutation_of_the_neurons(criterion: Any, seed: int) -> None:
    gate, up, down, x = drawn(seed)
    order = torch.randperm(FFN, generator=torch.Generator().manual_seed(seed))
    scores = criterion(layer(gate, up, down, x))
    moved = criterion(layer(gate[order], up[order], down[:, order], x))
    torch.testing.assert_close(moved, scores[order], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("criterion", BY_LAYER)
@FEW
@given(seed=st.integers(0, 1000), first=st.integers(0, FFN - 1), second=st.integers(0, FFN - 1))
def test_a_neuron_and_its_copy_score_the_same(criterion: Any, seed: int, first: int, second: int) -> None:
    gate, up, down, x = drawn(seed)
    for matrix in (gate, up, down.T):
        matrix[second] = matrix[first]
    scores = criterion(layer(gate, up, down, x))
    assert float(scores[first]) == pytest.approx(float(scores[second]), rel=1e-6)


@pytest.mark.parametrize("criterion", [jacobian, wanda, flap, magnitude_down])
@FEW
@given(seed=st.integers(0, 1000), factor=st.sampled_from([0.125, 4.0, -2.0]))
def test_one_scale_of_all_of_down_changes_no_rank(criterion: Any, seed: int, factor: float) -> None:
    gate, up, down, x = drawn(seed)
    scores, scaled = criterion(layer(gate, up, down, x)), criterion(layer(gate, up, down * factor, x))
    torch.testing.assert_close(percentile_ranks(scaled), percentile_ranks(scores))


@pytest.mark.parametrize("criterion", [jacobian, wanda, flap])
@FEW
@given(seed=st.integers(0, 1000), powers=st.lists(st.integers(-3, 3), min_size=FFN, max_size=FFN))
def test_a_scale_moved_from_up_to_down_changes_nothing(criterion: Any, seed: int, powers: list[int]) -> None:
    """up·c and down/c compute the same function: criteria that look at inputs and outputs together agree."""
    gate, up, down, x = drawn(seed)
    scale = torch.tensor([2.0**power for power in powers], dtype=torch.float64)
    scores = criterion(layer(gate, up, down, x))
    moved = criterion(layer(gate, up * scale[:, None], down / scale, x))
    torch.testing.assert_close(moved, scores, rtol=1e-5, atol=1e-9)


@FEW
@given(seed=st.integers(0, 1000))
def test_flap_does_not_see_a_constant_and_activation_does(seed: int) -> None:
    """A neuron that always gives the same fluctuates by nothing, however strong it is."""
    made = layer(*drawn(seed))
    h, squared = made.sums.h.clone(), made.sums.h_squared.clone()
    h[3], squared[3] = 7.0 * TOKENS, 49.0 * TOKENS
    constant = replace(made, sums=replace(made.sums, h=h, h_squared=squared))
    assert float(flap(constant)[3]) == pytest.approx(0, abs=1e-9)
    assert float(activation(constant)[3]) == pytest.approx(7 * TOKENS**0.5)


def test_a_jacobian_sum_rounded_below_zero_scores_zero() -> None:
    made = layer(*drawn(0))
    steep = made.sums.jacobian_squared.clone()
    steep[2] = -1e-12
    scores = jacobian(replace(made, sums=replace(made.sums, jacobian_squared=steep)))
    assert float(scores[2]) == 0
    assert bool(torch.isfinite(scores).all())


def test_ranks_share_ties_and_span_zero_to_one() -> None:
    ranks = percentile_ranks(torch.tensor([5.0, 1.0, 5.0, 9.0, 1.0]))
    assert ranks.tolist() == [0.625, 0.125, 0.625, 1.0, 0.125]


def test_saliency_lets_a_neuron_go_only_where_both_are_low() -> None:
    """Strength m = [1, 2, 3, 4] and steepness a = [4, 1, 3, 2]: ranks in thirds, the larger of the two."""
    sums = NeuronSums.zeros(4)
    sums.h_squared = torch.tensor([1.0, 4.0, 9.0, 16.0], dtype=torch.float64) * 10
    sums.slope_squared = torch.tensor([16.0, 1.0, 9.0, 4.0], dtype=torch.float64) * 10
    made = replace(layer(*drawn(0)), sums=sums, tokens=10)
    torch.testing.assert_close(saliency(made), torch.tensor([1.0, 1 / 3, 2 / 3, 1.0], dtype=torch.float64))


@FEW
@given(seed=st.integers(0, 1 << 30), index=st.integers(0, 200))
def test_random_repeats_and_differs_by_seed_and_layer(seed: int, index: int) -> None:
    drawn_scores = chance(64, index, seed)
    assert torch.equal(chance(64, index, seed), drawn_scores)
    assert not torch.equal(chance(64, index, seed + 1), drawn_scores)
    assert not torch.equal(chance(64, index + 1, seed), drawn_scores)
    assert 0 <= float(drawn_scores.min()) <= float(drawn_scores.max()) < 1

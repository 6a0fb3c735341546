"""Criteria: a layer's sums to one score per neuron; the lowest scores are pruned first."""

import torch

from compressor.calibrate import NeuronSums


def percentile_ranks(values: torch.Tensor) -> torch.Tensor:
    """Rank of each value among all, 0 (lowest) to 1 (highest), float64; equal values share their mean rank."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    middle = ends - (counts.double() + 1) / 2
    ranks: torch.Tensor = middle[place] / max(values.numel() - 1, 1)
    return ranks


def saliency(sums: NeuronSums, tokens: int) -> torch.Tensor:
    """The paper's two-stage criterion, float64 (ffn,): the larger of two ranks, so only neurons low in both go.

    m_j = √mean h_j² is the strength of the activation, a_j = √mean φ'(g_j)² the steepness of the activation function.
    """
    strength = (sums.h_squared / tokens).sqrt()
    steepness = (sums.slope_squared / tokens).sqrt()
    return torch.maximum(percentile_ranks(strength), percentile_ranks(steepness))

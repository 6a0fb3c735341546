"""Criterion `saliency`: the paper's two-stage saliency (arXiv 2506.11105), a neuron low in both goes.

The paper gives no equations; ours, after its text: m_j = √mean h_j² is the L2 norm of the activation, a_j = √mean φ'(g_j)²
the norm of the Jacobian of the activation function, each as a percentile rank in its layer; the score is the larger rank.
"""

import torch

from compressor.criteria.layer import LayerInputs


def percentile_ranks(values: torch.Tensor) -> torch.Tensor:
    """Rank of each value among all, 0 (lowest) to 1 (highest), float64; equal values share their mean rank."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    middle = ends - (counts.double() + 1) / 2
    ranks: torch.Tensor = middle[place] / max(values.numel() - 1, 1)
    return ranks


def saliency_ranks(layer: LayerInputs) -> torch.Tensor:
    """The ranks of m_j and of a_j, float64 (2, ffn)."""
    strength = (layer.sums.h_squared / layer.tokens).sqrt()
    steepness = (layer.sums.slope_squared / layer.tokens).sqrt()
    return torch.stack((percentile_ranks(strength), percentile_ranks(steepness)))


def saliency(layer: LayerInputs) -> torch.Tensor:
    """The larger of the two ranks, float64 (ffn,): only neurons low in both have a low score."""
    return saliency_ranks(layer).amax(0)

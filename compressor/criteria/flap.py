"""Criterion `flap`: FLAP's weighted fluctuation (arXiv 2312.11983, metric WIFV), Var_t(h_j)·‖W_d[:,j]‖².

Its allocation is one threshold over per-layer z-scores (mask `global`), its compensation the bias W_d[:,P]·E[h_P], which
stands for the mean of what the pruned neurons P gave (recipe key `saliency.bias`). Statistics come from the dense model, as
in its code; the code's variance skips the first sample, ours is the variance.
"""

import torch

from compressor.calibrate import Statistics
from compressor.criteria.layer import LayerInputs


def flap(layer: LayerInputs) -> torch.Tensor:
    """Var_t(h_j)·‖W_d[:,j]‖², float64 (ffn,)."""
    mean = layer.sums.h / layer.tokens
    variance = (layer.sums.h_squared / layer.tokens - mean.square()).clamp(min=0)
    return variance * layer.down_norms().square()


def mean_activations(statistics: Statistics) -> list[torch.Tensor]:
    """E[h] of every layer's neurons, float64 (ffn,): what the bias is made of."""
    return [sums.h / statistics.tokens for sums in statistics.layers]

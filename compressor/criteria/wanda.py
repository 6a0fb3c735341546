"""Criterion `wanda`: Wanda-sp, activation norm times mean weight, ‖h_j‖₂·mean_i |W_d[i,j]|.

The structured form of Wanda (arXiv 2306.11695) that FLAP's code compares with (`prune_wanda_sp`).
"""

import torch

from compressor.criteria.layer import LayerInputs


def wanda(layer: LayerInputs) -> torch.Tensor:
    """‖h_j‖₂·mean_i |W_d[i,j]|, float64 (ffn,)."""
    return layer.sums.h_squared.sqrt() * layer.down().abs().mean(0, dtype=torch.float64)

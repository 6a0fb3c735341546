"""Criterion `wanda`: Wanda-sp, activation norm times mean weight, ‖h_j‖₂·mean_i |W_d[i,j]|.

The structured form of Wanda (arXiv 2306.11695) that FLAP's code compares with (`prune_wanda_sp`).

Its code scores each layer on what the already pruned layers before it give (`compressor.compare.sequential`); as a criterion of
a recipe the statistics are those of the dense model, as for all others.
"""

import torch

from compressor.criteria.layer import LayerInputs


def wanda(layer: LayerInputs) -> torch.Tensor:
    """‖h_j‖₂·mean_i |W_d[i,j]|, float64 (ffn,)."""
    return wanda_scores(layer.sums.h_squared, layer.down())


def wanda_scores(h_squared: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """The same from Σ_t h_j(t)², float64 (ffn,), and W_d, float32 (hidden, ffn)."""
    return h_squared.sqrt() * down.abs().mean(0, dtype=torch.float64)

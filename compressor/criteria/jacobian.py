"""Criterion `jacobian`: how far one neuron's contribution to the FFN output moves with the FFN input.

The contribution of neuron j is W_d[:,j]·h_j(x). Its Jacobian by x is the outer product of W_d[:,j] and ∂h_j/∂x, of Frobenius
norm ‖W_d[:,j]‖·‖∂h_j/∂x‖, so its root mean square over the text is exact and needs no backward pass:
score_j = ‖W_d[:,j]‖·√mean ‖∂h_j/∂x‖². The paper's Jacobian term (arXiv 2506.11105), carried through to the output.
"""

import torch

from compressor.criteria.layer import LayerInputs


def jacobian(layer: LayerInputs) -> torch.Tensor:
    """‖W_d[:,j]‖·√mean ‖∂h_j/∂x‖², float64 (ffn,)."""
    # The sum is of squares expanded into three terms: rounding may leave it a hair below zero.
    mean = (layer.sums.jacobian_squared / layer.tokens).clamp(min=0)
    return layer.down_norms() * mean.sqrt()

"""Criterion `activation`: the L2 norm of the neuron's activation over the text, √Σ_t h_j².

As in 2SSP (arXiv 2501.17771) and Minitron (arXiv 2407.14679), which average norms over samples first. CFSP's fine score
(arXiv 2409.13199) ranks neurons the same way.
"""

import torch

from compressor.criteria.layer import LayerInputs


def activation(layer: LayerInputs) -> torch.Tensor:
    """√Σ_t h_j², float64 (ffn,)."""
    return layer.sums.h_squared.sqrt()

"""Criteria `magnitude-down` and `magnitude-all`: weights alone, no text.

`magnitude-down` is FLAP's magnitude baseline (arXiv 2312.11983, code `prune_magnitude_sp`): ‖W_d[:,j]‖₂.
`magnitude-all` is LLM-Pruner's (arXiv 2305.11627, code `MagnitudeImportance(p=2)`): the mean of ‖W_g[j]‖², ‖W_u[j]‖² and
‖W_d[:,j]‖².
"""

import torch

from compressor.criteria.layer import LayerInputs


def magnitude_down(layer: LayerInputs) -> torch.Tensor:
    """‖W_d[:,j]‖₂, float64 (ffn,)."""
    return layer.down_norms()


def magnitude_all(layer: LayerInputs) -> torch.Tensor:
    """Mean of the three squared norms, float64 (ffn,)."""
    gate = torch.linalg.vector_norm(layer.gate(), dim=1, dtype=torch.float64).square()
    up = torch.linalg.vector_norm(layer.up(), dim=1, dtype=torch.float64).square()
    total: torch.Tensor = gate + up + layer.down_norms().square()
    return total / 3

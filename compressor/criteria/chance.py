"""Criterion `random`: the floor that every criterion has to clear; give it at least three seeds."""

import torch


def chance(ffn: int, layer: int, seed: int) -> torch.Tensor:
    """Uniform scores in [0, 1), float64 (ffn,), the same for the same layer and seed."""
    # Layers of one seed and seeds of one layer draw from different streams: no model has 2**20 layers.
    generator = torch.Generator().manual_seed((seed << 20) + layer)
    return torch.rand(ffn, generator=generator, dtype=torch.float64)

"""The two activations of gated FFNs and their exact derivatives."""

from math import pi, sqrt

import torch
from torch.nn import functional

_OUTER = sqrt(2 / pi)
_CUBIC = 0.044715


def silu_slope(gate: torch.Tensor) -> torch.Tensor:
    """σ(g)·(1 + g·(1 − σ(g)))."""
    sigmoid = torch.sigmoid(gate)
    return sigmoid * (1 + gate * (1 - sigmoid))


def gelu_tanh(gate: torch.Tensor) -> torch.Tensor:
    """g/2 · (1 + tanh(√(2/π)·(g + 0.044715 g³)))."""
    return functional.gelu(gate, approximate="tanh")


def gelu_tanh_slope(gate: torch.Tensor) -> torch.Tensor:
    """(1 + t)/2 + g/2 · (1 − t²)·√(2/π)·(1 + 3·0.044715 g²), t the tanh of `gelu_tanh`."""
    squared = gate.square()
    tanh = torch.tanh(_OUTER * gate * (1 + _CUBIC * squared))
    inner = _OUTER * (1 + 3 * _CUBIC * squared)
    return 0.5 * (1 + tanh) + 0.5 * gate * (1 - tanh.square()) * inner

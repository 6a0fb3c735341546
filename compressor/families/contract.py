"""What the pipeline must know about a model family, and nothing more."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch


@dataclass(frozen=True)
class ModelShape:
    """Sizes and constants of one model, read from its config."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    norm_eps: float
    rope_theta: float
    tied: bool


@dataclass(frozen=True)
class LayerNames:
    """Checkpoint names of one decoder layer's tensors."""

    attention_norm: str
    q: str
    k: str
    v: str
    o: str
    ffn_norm: str
    gate: str
    up: str
    down: str
    down_bias: str
    """In no published checkpoint: pruning and reconstruction may add it."""


class Family(Protocol):
    """A decoder with a gated FFN: down(φ(gate x) · up x)."""

    architectures: tuple[str, ...]
    embedding: str
    final_norm: str
    head: str

    def shape(self, config: dict[str, Any]) -> ModelShape:
        """Sizes from config.json. Raises FamilyError for a feature that the pipeline would get wrong."""

    def layer_names(self, layer: int) -> LayerNames:
        """Names of layer `layer`'s tensors."""

    def rope_frequencies(self, config: dict[str, Any]) -> torch.Tensor:
        """Rotary frequencies, float32 of shape (head_dim / 2,), long-context scaling applied."""

    def rope_factors(self, config: dict[str, Any]) -> torch.Tensor | None:
        """Unscaled over scaled frequencies, float32 (head_dim / 2,), or None where there is no scaling."""

    def activation(self, gate: torch.Tensor) -> torch.Tensor:
        """φ, elementwise."""

    def activation_slope(self, gate: torch.Tensor) -> torch.Tensor:
        """φ', elementwise."""

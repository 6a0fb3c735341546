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
    norm_offset: float = 0.0
    """Added to every norm's stored weight: Gemma stores w of (1 + w)."""
    embedding_scale: float = 1.0
    """Factor on the embedding's rows."""
    attention_scale: float | None = None
    """Factor on query · key; None: 1 / √head_dim."""
    attention_cap: float | None = None
    """c of c · tanh(score / c) before the softmax."""
    final_cap: float | None = None
    """c of c · tanh(logit / c)."""
    windows: tuple[int | None, ...] = ()
    """Per layer, how many positions a token sees, itself among them; None: all. Empty: all in every layer."""
    rope_theta_local: float | None = None
    """Base of the layers with a window, where it is another."""
    rope_linear: float = 1.0
    """Linear stretch of the positions in the layers without a window."""

    def window(self, layer: int) -> int | None:
        """How many positions a token of `layer` sees; None: all."""
        return self.windows[layer] if self.windows else None


@dataclass(frozen=True)
class LayerNames:
    """Checkpoint names of one decoder layer's tensors; None where the family has no such tensor."""

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
    q_bias: str | None = None
    k_bias: str | None = None
    v_bias: str | None = None
    q_norm: str | None = None
    k_norm: str | None = None
    attention_post_norm: str | None = None
    ffn_post_norm: str | None = None


@dataclass(frozen=True)
class GgufLayout:
    """How a llama.cpp architecture wants the tensors."""

    architecture: str
    adjacent_rotary: bool = False
    """Rotary pairs are neighbours in Q and K: their rows (and biases) are permuted."""
    fused_attention: bool = False
    """Q, K and V are one matrix `attn_qkv`."""


class Family(Protocol):
    """A decoder with a gated FFN: down(φ(gate x) · up x)."""

    architectures: tuple[str, ...]
    embedding: str
    final_norm: str
    head: str
    carries_down_bias: bool
    """Whether llama.cpp loads `ffn_down.bias` for every file of this family."""
    hf_down_bias: bool
    """Whether plain transformers can load a bias of down (as `mlp_bias`)."""

    def shape(self, config: dict[str, Any]) -> ModelShape:
        """Sizes from config.json. Raises FamilyError for a feature that the pipeline would get wrong."""

    def layer_names(self, layer: int) -> LayerNames:
        """Names of layer `layer`'s tensors."""

    def rope_frequencies(self, config: dict[str, Any]) -> torch.Tensor:
        """Rotary frequencies, float32 of shape (layers, head_dim / 2), long-context scaling applied."""

    def rope_factors(self, config: dict[str, Any]) -> torch.Tensor | None:
        """Unscaled over scaled frequencies, float32 (head_dim / 2,), where a file carries them as a tensor."""

    def activation(self, gate: torch.Tensor) -> torch.Tensor:
        """φ, elementwise."""

    def activation_slope(self, gate: torch.Tensor) -> torch.Tensor:
        """φ', elementwise."""

    def allows_unequal_widths(self, config: dict[str, Any]) -> str | None:
        """None where layers may differ in width, else why not, as half a sentence."""

    def gguf_layout(self, *, equal_widths: bool) -> GgufLayout:
        """The llama.cpp architecture for this family's files. Raises FamilyError where there is none."""

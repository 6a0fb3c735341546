"""Gemma 1: norms of (1 + w), a scaled embedding, a gated FFN with GELU (tanh)."""

from typing import Any, ClassVar

import torch
from transformers import GemmaConfig

from compressor.families.activations import gelu_tanh, gelu_tanh_slope
from compressor.families.contract import GgufLayout
from compressor.families.decoder import Decoder


class GemmaFamily(Decoder):
    """GemmaForCausalLM, and what Gemma 2 and 3 share with it."""

    architectures: tuple[str, ...] = ("GemmaForCausalLM",)
    config_class: ClassVar[Any] = GemmaConfig
    # "gelu" in the first Gemma's config means the tanh form; transformers reads it so too.
    hidden_acts: ClassVar[frozenset[str]] = frozenset({"gelu_pytorch_tanh", "gelu"})
    equal_layout: ClassVar[GgufLayout] = GgufLayout("gemma")

    def traits(self, parsed: Any) -> dict[str, Any]:
        """(1 + w), and √hidden in float32: transformers rounds the factor to the weights' type, this stream is float32."""
        return {"norm_offset": 1.0, "embedding_scale": float(parsed.hidden_size) ** 0.5}

    def faults(self, config: dict[str, Any]) -> list[str]:
        """Also an output matrix of its own, which llama.cpp's Gemma graphs do not read."""
        found = super().faults(config)
        return found if config.get("tie_word_embeddings", True) else [*found, "tie_word_embeddings = false"]

    def activation(self, gate: torch.Tensor) -> torch.Tensor:
        """GELU in its tanh form."""
        return gelu_tanh(gate)

    def activation_slope(self, gate: torch.Tensor) -> torch.Tensor:
        """Its derivative."""
        return gelu_tanh_slope(gate)

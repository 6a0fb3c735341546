"""Qwen 3: Llama's layers with RMSNorm on each head's query and key."""

from dataclasses import replace
from typing import Any

from transformers import Qwen3Config

from compressor.families.contract import GgufLayout, LayerNames
from compressor.families.decoder import Decoder


class Qwen3Family(Decoder):
    """Qwen3ForCausalLM. llama.cpp's `openelm` is the same graph with a width per layer, a fused Q, K, V and a tied head."""

    architectures: tuple[str, ...] = ("Qwen3ForCausalLM",)
    config_class = Qwen3Config
    refused = (*Decoder.refused, "use_sliding_window")
    equal_layout = GgufLayout("qwen3")
    unequal_layout = GgufLayout("openelm", fused_attention=True)

    def layer_names(self, layer: int) -> LayerNames:
        """Names of layer `layer`'s tensors, with the two head norms."""
        prefix = f"model.layers.{layer}.self_attn"
        return replace(super().layer_names(layer), q_norm=f"{prefix}.q_norm.weight", k_norm=f"{prefix}.k_norm.weight")

    def allows_unequal_widths(self, config: dict[str, Any]) -> str | None:
        """None for a tied head: `openelm` has no output matrix of its own."""
        if self.parse(config).tie_word_embeddings:
            return None
        return "llama.cpp has no architecture for Qwen 3 with an output matrix of its own and layers of unequal width"

"""Gemma 2: Gemma with norms before and after both halves of a layer, soft-caps, and a window in every other layer."""

from dataclasses import replace
from typing import Any, ClassVar

from transformers import Gemma2Config

from compressor.families.contract import GgufLayout, LayerNames
from compressor.families.gemma import GemmaFamily

WINDOWED = "sliding_attention"


class Gemma2Family(GemmaFamily):
    """Gemma2ForCausalLM."""

    architectures: tuple[str, ...] = ("Gemma2ForCausalLM",)
    config_class = Gemma2Config
    hidden_acts: ClassVar[frozenset[str]] = frozenset({"gelu_pytorch_tanh"})
    equal_layout = GgufLayout("gemma2")
    window_period: ClassVar[int] = 2
    """llama.cpp's pattern: the last layer of every so many sees everything."""
    wide_layers: ClassVar[int] = 46
    """Layers of the 27B model, for which llama.cpp scales queries by 1 / √(hidden / heads)."""

    def traits(self, parsed: Any) -> dict[str, Any]:
        """Windows, soft-caps and the query scale."""
        windows = tuple(int(parsed.sliding_window) if kind == WINDOWED else None for kind in parsed.layer_types)
        return {
            **super().traits(parsed),
            "attention_scale": float(parsed.query_pre_attn_scalar) ** -0.5,
            "attention_cap": parsed.attn_logit_softcapping,
            "final_cap": parsed.final_logit_softcapping,
            "windows": windows,
        }

    def faults(self, config: dict[str, Any]) -> list[str]:
        """Also what llama.cpp takes for granted: the windows' pattern, the query scale, and the soft-caps."""
        parsed = self.parse(config)
        found = [*super().faults(config), *self.cap_faults(parsed)]
        full = [(layer + 1) % self.window_period == 0 for layer in range(parsed.num_hidden_layers)]
        if [kind != WINDOWED for kind in parsed.layer_types] != full:
            found.append(f"layer_types other than full attention in every {self.window_period}th layer")
        wide = parsed.num_hidden_layers == self.wide_layers
        expected = parsed.hidden_size // parsed.num_attention_heads if wide else parsed.head_dim
        if parsed.query_pre_attn_scalar != expected:
            found.append(f"query_pre_attn_scalar = {parsed.query_pre_attn_scalar} where llama.cpp uses {expected}")
        return found

    def cap_faults(self, parsed: Any) -> list[str]:
        """llama.cpp caps both, with Gemma 2's own values where a file is silent."""
        keys = ("attn_logit_softcapping", "final_logit_softcapping")
        return [f"no {key}" for key in keys if not getattr(parsed, key)]

    def layer_names(self, layer: int) -> LayerNames:
        """Names of layer `layer`'s tensors, with the norms around both halves."""
        prefix = f"model.layers.{layer}"
        return replace(
            super().layer_names(layer),
            attention_post_norm=f"{prefix}.post_attention_layernorm.weight",
            ffn_norm=f"{prefix}.pre_feedforward_layernorm.weight",
            ffn_post_norm=f"{prefix}.post_feedforward_layernorm.weight",
        )

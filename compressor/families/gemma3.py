"""Gemma 3 text and MedGemma: Gemma 2's layers with head norms instead of soft-caps, and local layers with a rope of their own."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from transformers import Gemma3TextConfig

from compressor.families.contract import GgufLayout, LayerNames
from compressor.families.decoder import plain_frequencies
from compressor.families.gemma2 import WINDOWED, Gemma2Family


class Gemma3Family(Gemma2Family):
    """Gemma3ForCausalLM; `Checkpoint` presents the text part of Gemma3ForConditionalGeneration as one."""

    architectures: tuple[str, ...] = ("Gemma3ForCausalLM",)
    config_class = Gemma3TextConfig
    equal_layout = GgufLayout("gemma3")
    rope_types: ClassVar[frozenset[str]] = frozenset({"default", "linear"})
    window_period = 6
    wide_layers = 62

    def rope(self, parsed: Any) -> dict[str, Any]:
        """The rope table of the layers that see everything."""
        table: dict[str, Any] = parsed.rope_parameters["full_attention"]
        return table

    def raw_rope(self, config: dict[str, Any]) -> dict[str, Any]:
        """The table of the global layers; older files hold that one only."""
        rope = super().raw_rope(config)
        nested: dict[str, Any] = rope.get("full_attention", rope)
        return nested

    def traits(self, parsed: Any) -> dict[str, Any]:
        """Gemma 2's, and the two ropes."""
        local = parsed.rope_parameters[WINDOWED]
        return {
            **super().traits(parsed),
            "rope_theta_local": float(local["rope_theta"]),
            "rope_linear": float(self.rope(parsed).get("factor", 1.0)),
        }

    def faults(self, config: dict[str, Any]) -> list[str]:
        """Also a stretched rope in the local layers."""
        local = str(self.parse(config).rope_parameters[WINDOWED].get("rope_type", "default"))
        found = super().faults(config)
        return found if local == "default" else [*found, f"rope scaling {local} in local layers"]

    def cap_faults(self, parsed: Any) -> list[str]:
        """Gemma 3 has no soft-caps, and llama.cpp's graph none to offer."""
        keys = ("attn_logit_softcapping", "final_logit_softcapping")
        return [f"{key} = {getattr(parsed, key)}" for key in keys if getattr(parsed, key)]

    def layer_names(self, layer: int) -> LayerNames:
        """Gemma 2's, with the two head norms."""
        prefix = f"model.layers.{layer}.self_attn"
        return replace(super().layer_names(layer), q_norm=f"{prefix}.q_norm.weight", k_norm=f"{prefix}.k_norm.weight")

    def rope_frequencies(self, config: dict[str, Any]) -> torch.Tensor:
        """Rotary frequencies, float32 (layers, head_dim / 2): local layers plain, global ones stretched linearly."""
        shape = self.shape(config)
        assert shape.rope_theta_local is not None
        local = plain_frequencies(shape.rope_theta_local, shape.head_dim)
        far = plain_frequencies(shape.rope_theta, shape.head_dim) / shape.rope_linear
        return torch.stack([far if window is None else local for window in shape.windows])

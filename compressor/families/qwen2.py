"""Qwen 2.5: Llama's layers with biases on query, key and value."""

from dataclasses import replace
from typing import Any

from transformers import Qwen2Config

from compressor.families.contract import GgufLayout, LayerNames
from compressor.families.decoder import Decoder


class Qwen2Family(Decoder):
    """Qwen2ForCausalLM. `deci` pairs neighbours in rotary positions, `qwen2` halves: only the first is permuted."""

    architectures: tuple[str, ...] = ("Qwen2ForCausalLM",)
    config_class = Qwen2Config
    refused = (*Decoder.refused, "use_sliding_window")
    equal_layout = GgufLayout("qwen2")
    unequal_layout = GgufLayout("deci", adjacent_rotary=True)

    def layer_names(self, layer: int) -> LayerNames:
        """Names of layer `layer`'s tensors, with the three biases."""
        names = super().layer_names(layer)
        return replace(names, **{f"{part}_bias": _bias(getattr(names, part)) for part in "qkv"})


def _bias(weight: str) -> Any:
    return weight.removesuffix("weight") + "bias"

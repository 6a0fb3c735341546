"""Mistral 7B: Llama's layers, in v0.1 with a sliding window."""

from typing import Any

from transformers import MistralConfig

from compressor.families.contract import GgufLayout
from compressor.families.decoder import Decoder


class MistralFamily(Decoder):
    """MistralForCausalLM. llama.cpp runs it as `llama`, which has no window: the context ends where the window does."""

    architectures: tuple[str, ...] = ("MistralForCausalLM",)
    config_class = MistralConfig
    carries_down_bias = True
    equal_layout = GgufLayout("llama", adjacent_rotary=True)
    unequal_layout = GgufLayout("deci", adjacent_rotary=True)

    def traits(self, parsed: Any) -> dict[str, Any]:
        """The window of every layer, and the context that ends with it."""
        if parsed.sliding_window is None:
            return {}
        window = int(parsed.sliding_window)
        context = min(int(parsed.max_position_embeddings), window)
        return {"windows": (window,) * int(parsed.num_hidden_layers), "context": context}

"""Llama 3, 3.1 and 3.2: the common decoder, with llama3 rope scaling."""

from typing import ClassVar

from transformers import LlamaConfig

from compressor.families.contract import GgufLayout
from compressor.families.decoder import Decoder


class LlamaFamily(Decoder):
    """LlamaForCausalLM. llama.cpp's `deci` is the same graph with a width per layer."""

    architectures: tuple[str, ...] = ("LlamaForCausalLM",)
    config_class = LlamaConfig
    carries_down_bias = True
    hf_down_bias = True
    rope_types: ClassVar[frozenset[str]] = frozenset({"default", "llama3"})
    equal_layout = GgufLayout("llama", adjacent_rotary=True)
    unequal_layout = GgufLayout("deci", adjacent_rotary=True)

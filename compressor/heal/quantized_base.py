"""Frozen weights in 8 or 4 bits while adapters train (QLoRA, arXiv 2305.14314), through bitsandbytes where it is at hand.

Only training sees the quantized weights: the deltas are merged into the unquantised ones.
"""

import importlib.util
from typing import Any, Literal

import torch

from compressor.errors import RecipeError
from compressor.families.contract import Family, ModelShape
from compressor.heal.adapters import WEIGHT, adapted_names

Base = Literal["full", "8bit", "4bit"]


def require_bitsandbytes(base: Base) -> None:
    """Raise RecipeError where `base` needs bitsandbytes and it is not installed."""
    if base != "full" and importlib.util.find_spec("bitsandbytes") is None:
        raise RecipeError(
            f'heal.base = "{base}" needs bitsandbytes: pip install bitsandbytes, or set heal.base = "full"'
        )


def quantize_base(model: Any, family: Family, shape: ModelShape, base: Base, dtype: torch.dtype) -> None:
    """Replace every linear layer of `model` by bitsandbytes' (LLM.int8() or NF4), in place; nothing for `full`."""
    if base == "full":
        return
    setattr(model, f"is_loaded_in_{base}", True)  # PEFT asks the model, not its layers.
    for layer in range(shape.layers):
        for name in adapted_names(family, layer):
            parent, _, child = name.removesuffix(WEIGHT).rpartition(".")
            holder = model.get_submodule(parent)
            setattr(holder, child, _quantized(getattr(holder, child), base, dtype))


def _quantized(linear: torch.nn.Linear, base: Base, dtype: torch.dtype) -> torch.nn.Module:
    import bitsandbytes as bnb

    sizes = (linear.in_features, linear.out_features, linear.bias is not None)
    device = linear.weight.device
    if base == "8bit":
        replaced = bnb.nn.Linear8bitLt(*sizes, has_fp16_weights=False)
        replaced.weight = bnb.nn.Int8Params(linear.weight.data.cpu(), requires_grad=False, has_fp16_weights=False)
    else:
        replaced = bnb.nn.Linear4bit(*sizes, compute_dtype=dtype, quant_type="nf4")
        replaced.weight = bnb.nn.Params4bit(linear.weight.data.cpu(), requires_grad=False, quant_type="nf4")
    replaced.bias = linear.bias
    quantized: torch.nn.Module = replaced.to(device)
    return quantized

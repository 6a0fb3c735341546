"""A whole model as a transformers module, for what needs back-propagation: refused with numbers where memory is short."""

from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM

from compressor.checkpoint import TensorSource
from compressor.errors import MemoryShortError
from compressor.families.contract import Family, ModelShape

CPU = torch.device("cpu")
_NOT_FOR_TRANSFORMERS = frozenset({"torch_dtype", "dtype", "intermediate_sizes"})


def require_memory(needed_bytes: int, what: str, remedy: str, device: torch.device = CPU) -> None:
    """Raise MemoryShortError where less than `needed_bytes` of `device`'s memory is free."""
    if device.type == "cuda":
        free_bytes, place = torch.cuda.mem_get_info(device)[0], "GPU memory"
    else:
        free_bytes, place = int(psutil.virtual_memory().available), "memory"
    if needed_bytes > free_bytes:
        raise MemoryShortError(
            f"{what} needs {needed_bytes / 2**30:.1f} GiB of {place} and {free_bytes / 2**30:.1f} GiB is free; {remedy}"
        )


def assemble(
    source: TensorSource,
    family: Family,
    shape: ModelShape,
    config: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> torch.nn.Module:
    """The model of `source`, whatever its widths, in evaluation mode without gradients.

    Every layer's FFN takes the width of its tensors, so a checkpoint with unequal widths works as well. A `down_bias`
    in the source becomes the bias of that layer's down projection.
    """
    parsed = AutoConfig.for_model(**{key: value for key, value in config.items() if key not in _NOT_FOR_TRANSFORMERS})
    parsed.use_cache = False
    # SDPA has no soft-cap; transformers' own remedy is the eager path.
    attention = "sdpa" if shape.attention_cap is None else "eager"
    # Weights without memory until they are read; buffers (rotary tables, embedding scales) are in no checkpoint.
    with init_empty_weights(include_buffers=False):
        model: Any = AutoModelForCausalLM.from_config(parsed, dtype=dtype, attn_implementation=attention)
        _resize(model, source, family, shape)
    model.tie_weights()
    _fill(model, source, dtype, device or CPU)
    whole: torch.nn.Module = model.to(device or CPU).eval().requires_grad_(False)
    return whole


def layer_modules(model: Any, family: Family, shape: ModelShape) -> Sequence[Any]:
    """The FFN modules, in order; each has gate_proj, up_proj and down_proj."""
    return [
        model.get_submodule(family.layer_names(layer).down.rpartition(".down_proj")[0]) for layer in range(shape.layers)
    ]


def _resize(model: torch.nn.Module, source: TensorSource, family: Family, shape: ModelShape) -> None:
    present = frozenset(source.names())
    for layer in range(shape.layers):
        names = family.layer_names(layer)
        for name in (names.gate, names.up, names.down):
            rows, columns = source.shape(name)
            place = name.removesuffix(".weight")
            biased = f"{place}.bias" in present
            parent, _, child = place.rpartition(".")
            setattr(model.get_submodule(parent), child, torch.nn.Linear(columns, rows, bias=biased))


def _fill(model: Any, source: TensorSource, dtype: torch.dtype, device: torch.device) -> None:
    # A tied head is the embedding under a second name, and no checkpoint needs to hold it.
    wanted = [name for name, _ in model.named_parameters()]
    # Copies: what is read may be the mapped file itself, which training or merging in place would change for all readers.
    weights = {name: source.tensor(name).to(device, dtype, copy=True) for name in wanted}
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()

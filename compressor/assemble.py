"""A whole model as a transformers module, for what needs back-propagation: refused with numbers where memory is short."""

from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from compressor.checkpoint import TensorSource
from compressor.errors import MemoryShortError
from compressor.families.contract import Family, ModelShape


def require_memory(needed_bytes: int, what: str, remedy: str) -> None:
    """Raise MemoryShortError where less than `needed_bytes` of main memory is free."""
    free_bytes = int(psutil.virtual_memory().available)
    if needed_bytes > free_bytes:
        raise MemoryShortError(
            f"{what} needs {needed_bytes / 2**30:.1f} GiB of memory and {free_bytes / 2**30:.1f} GiB is free; {remedy}"
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
    settings = {
        key: value for key, value in config.items() if key not in {"torch_dtype", "dtype", "intermediate_sizes"}
    }
    parsed = AutoConfig.for_model(**settings)
    parsed.use_cache = False
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(parsed, dtype=dtype)
    model.to_empty(device=device or torch.device("cpu"))
    model.tie_weights()
    _resize(model, source, family, shape)
    _fill(model, source, family, shape)
    return model.eval().requires_grad_(False)


def _resize(model: Any, source: TensorSource, family: Family, shape: ModelShape) -> None:
    present = frozenset(source.names())
    for layer in range(shape.layers):
        names = family.layer_names(layer)
        for name in (names.gate, names.up, names.down):
            rows, columns = source.shape(name)
            linear = model.get_submodule(name.removesuffix(".weight"))
            bias_name = f"{name.removesuffix('.weight')}.bias"
            biased = bias_name in present
            replacement = torch.nn.Linear(
                columns, rows, bias=biased, dtype=linear.weight.dtype, device=linear.weight.device
            )
            parent, _, child = name.removesuffix(".weight").rpartition(".")
            setattr(model.get_submodule(parent), child, replacement)


def _fill(model: Any, source: TensorSource, family: Family, shape: ModelShape) -> None:
    wanted = dict(model.named_parameters(remove_duplicate=True))
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(source.tensor(name))
    _rebuild_buffers(model)


def _rebuild_buffers(model: Any) -> None:
    """Rotary tables are not in a checkpoint: made anew, since `to_empty` left them without values."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if "RotaryEmbedding" in type(child).__name__:
                setattr(module, name, type(child)(config=child.config).to(next(model.parameters()).device))


def layer_modules(model: Any, family: Family, shape: ModelShape) -> Sequence[Any]:
    """The FFN modules, in order; each has gate_proj, up_proj and down_proj."""
    return [
        model.get_submodule(family.layer_names(layer).down.rpartition(".down_proj")[0]) for layer in range(shape.layers)
    ]

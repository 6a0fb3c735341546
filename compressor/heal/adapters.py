"""LoRA adapters by PEFT on every linear layer, and their merge into the unquantised weights.

W' = W + (α / r)·B·A in float32 (LoRA, arXiv 2106.09685). B starts at zero, so an untrained adapter changes nothing.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from compressor.checkpoint import TensorSource
from compressor.families.contract import Family, ModelShape
from compressor.prune import layer_file
from compressor.recipe.tables import Heal
from compressor.storage import save_tensors

MATRICES = ("q", "k", "v", "o", "gate", "up", "down")
"""Fields of LayerNames that get an adapter: all linear layers."""
WEIGHT = ".weight"


def adapted_names(family: Family, layer: int) -> list[str]:
    """Checkpoint names of one layer's adapted matrices."""
    names = family.layer_names(layer)
    return [getattr(names, matrix) for matrix in MATRICES]


def add_adapters(model: torch.nn.Module, family: Family, shape: ModelShape, recipe: Heal) -> Any:
    """Wrap `model` in place; only the adapters, float32, are trainable. Starts from the recipe's seed."""
    targets = [name.removesuffix(WEIGHT) for layer in range(shape.layers) for name in adapted_names(family, layer)]
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules=targets)
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT asks for a property of transformers under the name it had before.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        torch.manual_seed(recipe.seed)
        return get_peft_model(model, config)


def adapter_parameters(model: Any) -> dict[str, torch.nn.Parameter]:
    """The trainable tensors by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def load_adapter(model: Any, values: Mapping[str, torch.Tensor]) -> None:
    """Set the trainable tensors."""
    with torch.no_grad():
        for name, parameter in adapter_parameters(model).items():
            parameter.copy_(values[name])


def write_merged(model: Any, source: TensorSource, family: Family, shape: ModelShape, folder: Path) -> None:
    """Write each layer's merged matrices, float32, to be laid over `source`. Raises StorageError."""
    for layer in range(shape.layers):
        merged = {name: _merge(model, source, name) for name in adapted_names(family, layer)}
        save_tensors(layer_file(folder, layer), merged)


def _merge(model: Any, source: TensorSource, name: str) -> torch.Tensor:
    adapted = model.get_base_model().get_submodule(name.removesuffix(WEIGHT))
    first, second = adapted.lora_A["default"].weight, adapted.lora_B["default"].weight
    delta = adapted.scaling["default"] * (second.detach().float() @ first.detach().float())
    merged: torch.Tensor = source.tensor(name).float() + delta.cpu()
    return merged

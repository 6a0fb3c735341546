"""Pruning: rows of gate and up, columns of down, one file per layer, to be laid over the dense checkpoint."""

from collections.abc import Sequence
from pathlib import Path

import torch

from compressor.checkpoint import TensorFiles, TensorSource
from compressor.families.contract import Family
from compressor.storage import save_tensors


def prune_layer(source: TensorSource, family: Family, layer: int, kept: torch.Tensor) -> dict[str, torch.Tensor]:
    """The layer's three FFN matrices with only the neurons in `kept`, in their stored dtype."""
    names = family.layer_names(layer)
    return {
        names.gate: source.tensor(names.gate)[kept],
        names.up: source.tensor(names.up)[kept],
        names.down: source.tensor(names.down)[:, kept],
    }


def layer_file(folder: Path, layer: int) -> Path:
    """Where one layer's replaced tensors lie in a stage folder."""
    return folder / f"layer-{layer:03d}.safetensors"


def write_pruned(source: TensorSource, family: Family, kept: Sequence[torch.Tensor], folder: Path) -> None:
    """Write every layer's slices; layers that an interrupted run has written are kept. Raises StorageError."""
    for layer, indices in enumerate(kept):
        if not layer_file(folder, layer).is_file():
            save_tensors(layer_file(folder, layer), prune_layer(source, family, layer, indices))


def replaced_tensors(folder: Path) -> TensorFiles:
    """The tensors that a stage folder replaces."""
    return TensorFiles.scan(sorted(folder.glob("layer-*.safetensors")))

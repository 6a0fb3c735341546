"""Pruning: rows of gate and up, columns of down, one file per layer, to be laid over the dense checkpoint.

With the neurons' mean activations the pruned ones leave their mean behind, FLAP's compensation (arXiv 2312.11983): a bias
of down, b = W_d[:,P]·E[h_P].
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from compressor.checkpoint import TensorFiles, TensorSource
from compressor.families.contract import Family
from compressor.storage import save_tensors


def prune_layer(
    source: TensorSource, family: Family, layer: int, kept: torch.Tensor, means: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The layer's three FFN matrices with only the neurons in `kept`, in their stored dtype.

    With `means`, E[h] float64 (ffn,), also the bias that stands for the pruned neurons, float32 (hidden,).
    """
    names = family.layer_names(layer)
    down = source.tensor(names.down)
    tensors = {
        names.gate: source.tensor(names.gate)[kept],
        names.up: source.tensor(names.up)[kept],
        names.down: down[:, kept],
    }
    if means is not None:
        gone = torch.ones(down.shape[1], dtype=torch.bool)
        gone[kept] = False
        tensors[names.down_bias] = (down[:, gone].double() @ means[gone]).float()
    return tensors


def layer_file(folder: Path, layer: int) -> Path:
    """Where one layer's replaced tensors lie in a stage folder."""
    return folder / f"layer-{layer:03d}.safetensors"


def write_pruned(
    source: TensorSource,
    family: Family,
    kept: Sequence[torch.Tensor],
    folder: Path,
    means: Sequence[torch.Tensor] | None = None,
) -> None:
    """Write every layer's slices, with a bias where `means` per layer are given; layers that an interrupted run has
    written are kept. Raises StorageError."""
    for layer, indices in enumerate(kept):
        if not layer_file(folder, layer).is_file():
            sliced = prune_layer(source, family, layer, indices, None if means is None else means[layer])
            save_tensors(layer_file(folder, layer), sliced)


def replaced_tensors(folder: Path) -> TensorFiles:
    """The tensors that a stage folder replaces."""
    return TensorFiles.scan(sorted(folder.glob("layer-*.safetensors")))

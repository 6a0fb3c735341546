"""Walks over a model's layers that can be interrupted: their state in one file, replaced whole."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from compressor.layers import LayerWeights, ModelView, load_layer
from compressor.storage import load_state, save_tensors

CHECKPOINT_EVERY_S = 20.0
Advance = Callable[[], None]


class StreamCheckpoint:
    """Where an interrupted walk over the layers continues: its tensors and the next layer, one file, replaced whole."""

    def __init__(self, path: Path, every_s: float = CHECKPOINT_EVERY_S) -> None:
        self._path, self._every_s = path, every_s
        self._saved_at_s = time.monotonic()

    def load(self) -> tuple[int, dict[str, torch.Tensor]]:
        """The next layer and the saved tensors; (0, {}) where nothing was saved, or nothing whole."""
        saved = load_state(self._path)
        return (0, {}) if saved is None else (int(saved[1]["next_layer"]), saved[0])

    def due(self) -> bool:
        """Whether enough work would be lost otherwise: to save every layer of a small model is too often."""
        return time.monotonic() - self._saved_at_s >= self._every_s

    def save(self, next_layer: int, tensors: dict[str, torch.Tensor]) -> None:
        """Replace what was saved. Raises StorageError."""
        save_tensors(self._path, tensors, {"next_layer": str(next_layer)})
        self._saved_at_s = time.monotonic()

    def save_if_due(self, next_layer: int, tensors: Callable[[], dict[str, torch.Tensor]]) -> None:
        """`save` when it is due."""
        if self.due():
            self.save(next_layer, tensors())

    def remove(self) -> None:
        """Forget the state once the result is written."""
        self._path.unlink(missing_ok=True)


def pack_states(prefix: str, hidden: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Hidden states under checkpoint names."""
    return {f"{prefix}.{index:05d}": states for index, states in enumerate(hidden)}


def unpack_states(prefix: str, tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """What `pack_states` stored, in order."""
    return [tensors[name] for name in sorted(tensors) if name.startswith(f"{prefix}.")]


def layers_from(model: ModelView, first: int) -> Iterator[tuple[int, LayerWeights]]:
    """Layers from `first` on, each read when it is reached."""
    for layer in range(first, model.shape.layers):
        yield layer, load_layer(model, layer)

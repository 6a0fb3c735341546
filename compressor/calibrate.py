"""Calibration: sums per FFN neuron over all text positions, forward only, one layer in memory at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from compressor.families.contract import Family
from compressor.layers import (
    LayerWeights,
    ModelView,
    add_ffn,
    attend,
    embed,
    ffn_input,
    ffn_output,
)
from compressor.rows import Batch, count_tokens
from compressor.storage import load_tensors, save_tensors
from compressor.walk import (
    Advance,
    StreamCheckpoint,
    layers_from,
    pack_states,
    unpack_states,
)


@dataclass
class NeuronSums:
    """Sums over text positions for one layer, each float64 of shape (ffn,). h = φ(g)·u is the input of down."""

    h_squared: torch.Tensor
    h_absolute: torch.Tensor
    h: torch.Tensor
    slope_squared: torch.Tensor
    """Σ φ'(g)²."""
    jacobian_squared: torch.Tensor
    """Σ ‖∂h/∂x‖², x the normalised FFN input."""

    @classmethod
    def zeros(cls, ffn: int) -> "NeuronSums":
        """Nothing counted yet."""
        return cls(*(torch.zeros(ffn, dtype=torch.float64) for _ in fields(cls)))


@dataclass(frozen=True)
class Statistics:
    """All layers' sums and how many text positions they cover."""

    layers: tuple[NeuronSums, ...]
    tokens: int


class _Counter:
    """Adds batches to one layer's sums; keeps ‖W_g[j]‖², W_g[j]·W_u[j] and ‖W_u[j]‖², all that ‖∂h_j/∂x‖² needs."""

    def __init__(self, family: Family, weights: LayerWeights) -> None:
        self.sums = NeuronSums.zeros(weights.gate.shape[0])
        self._family = family
        self._gate = weights.gate.square().sum(1)
        self._cross = (weights.gate * weights.up).sum(1)
        self._up = weights.up.square().sum(1)

    def add(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """Count positions, gate and up each (tokens, ffn), and return h of the same shape."""
        phi, slope = self._family.activation(gate), self._family.activation_slope(gate)
        # ∂h_j/∂x = u_j φ'(g_j) W_g[j] + φ(g_j) W_u[j]
        h, steep = phi * up, slope * up
        jacobian = steep.square() * self._gate + 2 * steep * phi * self._cross + phi.square() * self._up
        self.sums.h_squared += h.square().sum(0, dtype=torch.float64)
        self.sums.h_absolute += h.abs().sum(0, dtype=torch.float64)
        self.sums.h += h.sum(0, dtype=torch.float64)
        self.sums.slope_squared += slope.square().sum(0, dtype=torch.float64)
        self.sums.jacobian_squared += jacobian.sum(0, dtype=torch.float64)
        return h


def calibrate(
    model: ModelView, batches: Sequence[Batch], state: StreamCheckpoint, advance: Advance = lambda: None
) -> Statistics:
    """Walk the model once and sum. An interrupted walk continues from `state`; `advance` is called once a layer."""
    first, saved = state.load()
    hidden = unpack_states("hidden", saved) if first else embed(model, batches)
    done = [_unpack_sums(saved, layer) for layer in range(first)]
    for _ in range(first):
        advance()
    for layer, weights in layers_from(model, first):
        counter = _Counter(model.family, weights)
        for index, batch in enumerate(batches):
            attended = attend(model, weights, hidden[index])
            normed = ffn_input(model, weights, attended, batch.valid)
            h = counter.add(normed @ weights.gate.T, normed @ weights.up.T)
            hidden[index] = add_ffn(model, weights, attended, batch.valid, ffn_output(weights, h))
        done.append(counter.sums)
        state.save_if_due(layer + 1, lambda: {**pack_states("hidden", hidden), **_pack_sums(done)})
        advance()
    return Statistics(tuple(done), count_tokens(batches))


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Write `stats.safetensors`. Raises StorageError."""
    save_tensors(path, _pack_sums(statistics.layers), {"tokens": str(statistics.tokens)})


def load_statistics(path: Path, layers: int) -> Statistics:
    """Read what `save_statistics` wrote."""
    tensors, metadata = load_tensors(path)
    return Statistics(tuple(_unpack_sums(tensors, layer) for layer in range(layers)), int(metadata["tokens"]))


def _pack_sums(layers: Sequence[NeuronSums]) -> dict[str, torch.Tensor]:
    return {
        f"sums.{index:03d}.{name}": tensor for index, sums in enumerate(layers) for name, tensor in vars(sums).items()
    }


def _unpack_sums(tensors: dict[str, torch.Tensor], layer: int) -> NeuronSums:
    return NeuronSums(**{field.name: tensors[f"sums.{layer:03d}.{field.name}"] for field in fields(NeuronSums)})

"""Calibration: sums per FFN neuron over all text positions, forward only, one layer in memory at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from compressor.device_memory import FittingBatches
from compressor.distributed import ALONE, Group
from compressor.errors import CheckpointError
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

POSITIONS_AT_ONCE = 1024
"""Text positions counted together: a dozen float32 and float64 tensors of (positions, ffn) exist at a time."""


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


class NeuronCounter:
    """Adds batches to one layer's sums; keeps ‖W_g[j]‖², W_g[j]·W_u[j] and ‖W_u[j]‖², all that ‖∂h_j/∂x‖² needs."""

    def __init__(self, model: ModelView, weights: LayerWeights) -> None:
        self.sums = torch.zeros((len(fields(NeuronSums)), weights.gate.shape[0]), dtype=torch.float64)
        self._model, self._weights = model, weights
        self._gate = weights.gate.square().sum(1)
        self._cross = (weights.gate * weights.up).sum(1)
        self._up = weights.up.square().sum(1)

    def step(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """One batch through the layer, its positions counted once the whole of it has passed."""
        attended = attend(self._model, self._weights, states)
        normed = ffn_input(self._model, self._weights, attended, batch.valid)
        found = torch.zeros(self.sums.shape, dtype=torch.float64, device=states.device)
        pieces = torch.split(normed, POSITIONS_AT_ONCE)
        output = torch.cat([ffn_output(self._weights, self._count(piece, found)) for piece in pieces])
        result = add_ffn(self._model, self._weights, attended, batch.valid, output)
        self.sums += found.cpu()
        return result

    def add(self, normed: torch.Tensor) -> torch.Tensor:
        """Count FFN inputs (text positions, hidden); returns h, (text positions, ffn)."""
        found = torch.zeros(self.sums.shape, dtype=torch.float64, device=normed.device)
        h = torch.cat([self._count(piece, found) for piece in torch.split(normed, POSITIONS_AT_ONCE)])
        self.sums += found.cpu()
        return h

    def _count(self, normed: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """Positions (tokens, hidden) added to `found`; returns their h, (tokens, ffn)."""
        family = self._model.family
        gate, up = normed @ self._weights.gate.T, normed @ self._weights.up.T
        phi, slope = family.activation(gate), family.activation_slope(gate)
        # ∂h_j/∂x = u_j φ'(g_j) W_g[j] + φ(g_j) W_u[j]
        h, steep = phi * up, slope * up
        jacobian = steep.square() * self._gate + 2 * steep * phi * self._cross + phi.square() * self._up
        counted = (h.square(), h.abs(), h, slope.square(), jacobian)
        for index, values in enumerate(counted):
            found[index] += values.sum(0, dtype=torch.float64)
        return h


def calibrate(
    model: ModelView,
    batches: Sequence[Batch],
    state: StreamCheckpoint,
    advance: Advance = lambda: None,
    *,
    group: Group = ALONE,
    say: Callable[[str], None] = lambda _: None,
) -> Statistics:
    """Walk the model once and sum. An interrupted walk continues from `state`; `advance` is called once a layer.

    In a group every process passes the same batches, takes its share and returns the same statistics; the leader alone
    uses `state`. `say` hears of batches made smaller for want of device memory. Raises CheckpointError naming the layer
    whose activations are not finite, MemoryShortError, StorageError.
    """
    first, saved = group.announce(state.load() if group.leads else None)
    own = group.share(batches)
    hidden = [states.to(model.device) for states in group.share(unpack_states("hidden", saved))]
    if not first:
        hidden = embed(model, own)
    done = [_unpack_sums(saved, layer) for layer in range(first)]
    for _ in range(first):
        advance()
    fitting = FittingBatches(say)
    for layer, weights in layers_from(model, first):
        counter = NeuronCounter(model, weights)
        for index, batch in enumerate(own):
            hidden[index] = fitting.run(counter.step, hidden[index], batch)
        done.append(_finite(group.add_up(counter.sums), layer))
        if group.announce(state.due() if group.leads else None):
            everything = group.gather([states.cpu() for states in hidden])
            if group.leads:
                state.save(layer + 1, {**pack_states("hidden", everything), **_pack_sums(done)})
        advance()
    return Statistics(tuple(done), count_tokens(batches))


def _finite(sums: torch.Tensor, layer: int) -> NeuronSums:
    if not bool(torch.isfinite(sums).all()):
        raise CheckpointError(
            f"layer {layer} gives activations that are NaN or infinite on the calibration text; fetch the checkpoint again"
        )
    return NeuronSums(*sums.unbind())


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

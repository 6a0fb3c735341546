"""Reconstruction: down refitted in closed form, layer by layer, on the inputs that the pruned layers before it give.

W' = (Y·hᵀ + λW_K)(H + λI)⁻¹ in float64, h the kept neurons' activations, H = Σhhᵀ, λ a share of H's mean diagonal. Y is
the dense model's residual stream after the layer less the pruned model's before its FFN ("dense", which also repairs
what earlier layers lost) or the layer's own unpruned output ("own"). λ is chosen on tuning text, where the refit also
has to beat the plain slice, or the slice stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from compressor.layers import (
    LayerWeights,
    ModelView,
    add_ffn,
    attend,
    embed,
    ffn_inner,
    ffn_input,
    ffn_output,
    load_layer,
    mean_loss,
    row_losses,
)
from compressor.prune import layer_file
from compressor.rows import Batch
from compressor.storage import save_tensors
from compressor.walk import Advance, StreamCheckpoint, pack_states, unpack_states

Target = Literal["dense", "own"]


@dataclass(frozen=True)
class Normal:
    """Normal equations of one layer on one text, float64: Σhhᵀ (k, k), ΣYhᵀ (hidden, k), ΣY² (a scalar)."""

    gram: torch.Tensor
    cross: torch.Tensor
    energy: torch.Tensor

    @classmethod
    def zeros(cls, kept: int, hidden: int) -> "Normal":
        """Nothing counted yet."""
        shapes = ((kept, kept), (hidden, kept), ())
        return cls(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))

    def add(self, h: torch.Tensor, wanted: torch.Tensor) -> None:
        """Count rows h (tokens, k) and what they should give, (tokens, hidden)."""
        self.gram.add_((h.T @ h).double())
        self.cross.add_((wanted.T @ h).double())
        self.energy.add_(wanted.square().sum(dtype=torch.float64))

    def error(self, down: torch.Tensor) -> float:
        """Σ‖Y − W h‖² of `down` (hidden, k), float64."""
        return float(self.energy - 2 * (down * self.cross).sum() + ((down @ self.gram) * down).sum())


def ridge(normal: Normal, down: torch.Tensor, share: float) -> torch.Tensor:
    """The refitted down, float64 (hidden, k), drawn towards `down` with λ = share · mean diagonal of H."""
    strength = share * float(normal.gram.diagonal().mean())
    damped = normal.gram + strength * torch.eye(normal.gram.shape[0], dtype=torch.float64)
    factor = torch.linalg.cholesky(damped)
    return torch.cholesky_solve((normal.cross + strength * down).T.contiguous(), factor).T


@dataclass(frozen=True)
class Choice:
    """What one layer got: the ridge share (None: the plain slice) and the tuning error before and after."""

    ridge: float | None
    error_before: float
    error_after: float


def choose_down(fit: Normal, tune: Normal, down: torch.Tensor, shares: Sequence[float]) -> tuple[torch.Tensor, Choice]:
    """The best of the plain slice and the refits by tuning error; `down` float64 (hidden, k)."""
    before = tune.error(down)
    best, choice = down, Choice(None, before, before)
    for share in shares:
        candidate = ridge(fit, down, share)
        error = tune.error(candidate)
        if error < choice.error_after:
            best, choice = candidate, Choice(share, before, error)
    return best, choice


@dataclass
class _Streams:
    """Residual streams of the dense and of the pruned model, one tensor per batch."""

    dense: list[torch.Tensor]
    pruned: list[torch.Tensor]


class Reconstruction:
    """A walk over both models at once, one layer of each in memory.

    After `run`, `tuning_loss` is the refitted model's mean loss in nats on the tuning rows.
    """

    def __init__(
        self, dense: ModelView, pruned: ModelView, fitting: Sequence[Batch], tuning: Sequence[Batch], target: Target
    ) -> None:
        self._dense, self._pruned, self._target = dense, pruned, target
        self._batches = [*fitting, *tuning]
        self._fitting = len(fitting)
        self.tuning_loss = float("nan")

    def run(
        self, shares: Sequence[float], folder: Path, state: StreamCheckpoint, advance: Advance = lambda: None
    ) -> list[Choice]:
        """Refit every layer into `folder`. An interrupted walk continues from `state`. Raises StorageError."""
        first, saved = state.load()
        streams = _Streams(unpack_states("dense", saved), unpack_states("pruned", saved))
        if not first:
            streams = _Streams(embed(self._dense, self._batches), embed(self._dense, self._batches))
        choices = [_unpack_choice(saved[f"choice.{layer:03d}"]) for layer in range(first)]
        for layer in range(self._dense.shape.layers):
            if layer >= first:
                choices.append(self._refit(layer, streams, shares, folder))
                state.save_if_due(layer + 1, lambda: _pack(streams, choices))
            advance()
        self.tuning_loss = mean_loss(
            row_losses(self._dense, streams.pruned[self._fitting :], self._batches[self._fitting :])
        )
        return choices

    def _refit(self, layer: int, streams: _Streams, shares: Sequence[float], folder: Path) -> Choice:
        dense, pruned = load_layer(self._dense, layer), load_layer(self._pruned, layer)
        kept, hidden = pruned.gate.shape
        fit, tune = Normal.zeros(kept, hidden), Normal.zeros(kept, hidden)
        for index, batch in enumerate(self._batches):
            wanted = self._enter_layer(dense, streams, index)
            inner = self._inner(pruned, streams.pruned[index], batch)
            (fit if index < self._fitting else tune).add(inner, wanted)
        best, choice = choose_down(fit, tune, pruned.down.double(), shares)
        down = best.float()
        save_tensors(layer_file(folder, layer), {self._dense.family.layer_names(layer).down: down})
        for index, batch in enumerate(self._batches):
            attended = streams.pruned[index]
            streams.pruned[index] = add_ffn(
                self._pruned, pruned, attended, batch.valid, self._inner(pruned, attended, batch) @ down.T
            )
        return choice

    def _enter_layer(self, dense: LayerWeights, streams: _Streams, index: int) -> torch.Tensor:
        """Attention of both streams and the dense FFN; returns what the refit should give, (tokens, hidden)."""
        valid = self._batches[index].valid
        attended = attend(self._dense, dense, streams.dense[index])
        inner = self._inner(dense, attended, self._batches[index])
        streams.dense[index] = add_ffn(self._dense, dense, attended, valid, ffn_output(dense, inner))
        streams.pruned[index] = attend(self._dense, dense, streams.pruned[index])
        if self._target == "dense":
            return streams.dense[index][valid] - streams.pruned[index][valid]
        return ffn_output(dense, self._inner(dense, streams.pruned[index], self._batches[index]))

    def _inner(self, weights: LayerWeights, attended: torch.Tensor, batch: Batch) -> torch.Tensor:
        return ffn_inner(self._dense, weights, ffn_input(self._dense, weights, attended, batch.valid))


def _pack(streams: _Streams, choices: Sequence[Choice]) -> dict[str, torch.Tensor]:
    packed = {**pack_states("dense", streams.dense), **pack_states("pruned", streams.pruned)}
    for layer, choice in enumerate(choices):
        values = (-1.0 if choice.ridge is None else choice.ridge, choice.error_before, choice.error_after)
        packed[f"choice.{layer:03d}"] = torch.tensor(values, dtype=torch.float64)
    return packed


def _unpack_choice(packed: torch.Tensor) -> Choice:
    share, before, after = packed.tolist()
    return Choice(None if share < 0 else share, before, after)

"""Reconstruction: down refitted in closed form, layer by layer, on the inputs that the pruned layers before it give.

What the refit aims at: the dense model's residual stream after the layer less the pruned model's before its FFN ("dense",
which also repairs what earlier layers lost), or the layer's own unpruned output ("own"). λ is chosen on tuning text, where
the refit also has to beat the plain slice, or the slice stays. With `rounds` the neurons are chosen on the way, too: by OBS
(`compressor.reconstruct.rounds`) or by any criterion (`compressor.reconstruct.progressive`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from compressor.assemble import require_memory
from compressor.calibrate import NeuronCounter, NeuronSums
from compressor.layers import (
    LayerWeights,
    ModelView,
    add_ffn,
    attend_fitting,
    embed,
    ffn_input,
    ffn_output,
    inner_fitting,
    load_layer,
    mean_loss,
    pass_layer,
    row_losses,
)
from compressor.prune import layer_file, prune_layer
from compressor.reconstruct.memory import REMEDY, reconstruction_bytes
from compressor.reconstruct.normal import Held, Normal
from compressor.reconstruct.progressive import Measured, keep_progressively
from compressor.reconstruct.rounds import OBS, Rounds, damp, keep_by_rounds
from compressor.reconstruct.solve import Choice, choose_weight
from compressor.rows import Batch, count_tokens
from compressor.storage import save_tensors
from compressor.walk import Advance, StreamCheckpoint, pack_states, unpack_states

Target = Literal["dense", "own"]


def reachable_target(model: ModelView, target: Target) -> Target:
    """`own` where a norm follows down: what the stream lacks is then no linear function of what down gives."""
    return target if model.family.layer_names(0).ffn_post_norm is None else "own"


@dataclass
class _Progress:
    """What an interrupted walk goes on from: both residual streams, a tensor per batch, and what finished layers got."""

    dense: list[torch.Tensor]
    pruned: list[torch.Tensor]
    choices: list[Choice]
    kept: list[torch.Tensor]

    def pack(self) -> dict[str, torch.Tensor]:
        packed = {**pack_states("dense", self.dense), **pack_states("pruned", self.pruned)}
        for layer, choice in enumerate(self.choices):
            values = (-1.0 if choice.ridge is None else choice.ridge, choice.error_before, choice.error_after)
            packed[f"choice.{layer:05d}"] = torch.tensor(values, dtype=torch.float64)
        return packed | pack_states("kept", self.kept)

    @classmethod
    def unpack(cls, saved: dict[str, torch.Tensor], device: torch.device) -> "_Progress":
        dense, pruned = ([states.to(device) for states in unpack_states(name, saved)] for name in ("dense", "pruned"))
        values = [packed.tolist() for packed in unpack_states("choice", saved)]
        choices = [Choice(None if share < 0 else share, before, after) for share, before, after in values]
        return cls(dense, pruned, choices, unpack_states("kept", saved))


class Reconstruction:
    """A walk over both models at once, one layer of each in memory.

    `pruned` gives the widths and, without `rounds`, the neurons. With `bias` down gets a bias, fitted along. After `run`,
    `tuning_loss` is the refitted model's mean loss in nats on the tuning rows, and `kept` with `rounds` the neurons chosen,
    int64, one tensor per layer.
    """

    def __init__(
        self,
        dense: ModelView,
        pruned: ModelView,
        fitting: Sequence[Batch],
        tuning: Sequence[Batch],
        target: Target,
        *,
        bias: bool = False,
        rounds: Rounds | None = None,
    ) -> None:
        self._dense, self._pruned, self._target = dense, pruned, reachable_target(dense, target)
        self._bias, self._rounds = bias, rounds
        self._batches = [*fitting, *tuning]
        self._fitting = len(fitting)
        self.kept: list[torch.Tensor] = []
        self.tuning_loss = float("nan")

    def run(
        self, shares: Sequence[float], folder: Path, state: StreamCheckpoint, advance: Advance = lambda: None
    ) -> list[Choice]:
        """Refit every layer into `folder`. An interrupted walk continues from `state`.

        Raises MemoryShortError with the numbers before any work is done, StorageError.
        """
        fitting, tuning = self._batches[: self._fitting], self._batches[self._fitting :]
        needed = reconstruction_bytes(self._dense, self._pruned, fitting, tuning, rounds=self._rounds)
        require_memory(needed, "reconstruction", REMEDY, self._dense.device)
        first, saved = state.load()
        if first:
            progress = _Progress.unpack(saved, self._dense.device)
        else:
            progress = _Progress(embed(self._dense, self._batches), embed(self._dense, self._batches), [], [])
        for layer in range(self._dense.shape.layers):
            if layer >= first:
                self._refit(layer, progress, shares, folder)
                state.save_if_due(layer + 1, progress.pack)
            advance()
        self.kept = progress.kept
        self.tuning_loss = mean_loss(
            row_losses(self._dense, progress.pruned[self._fitting :], self._batches[self._fitting :])
        )
        return progress.choices

    def _refit(self, layer: int, progress: _Progress, shares: Sequence[float], folder: Path) -> None:
        dense, pruned = load_layer(self._dense, layer), load_layer(self._pruned, layer)
        wanted = [self._enter_layer(dense, pruned, progress, index) for index in range(len(self._batches))]
        names = self._dense.family.layer_names(layer)
        replaced: dict[str, torch.Tensor] = {}
        if self._rounds is not None:
            kept = self._choose_neurons(dense, pruned.gate.shape[0], progress, wanted)
            progress.kept.append(kept.cpu())
            pruned = replace(pruned, gate=dense.gate[kept], up=dense.up[kept], down=dense.down[:, kept])
            replaced = prune_layer(self._dense.source, self._dense.family, layer, kept.cpu())
        del dense
        weight, choice = self._fit(pruned, progress, wanted, shares)
        progress.choices.append(choice)
        refitted = _with_weight(pruned, weight, biased=self._bias)
        replaced[names.down] = refitted.down
        if self._bias:
            assert refitted.down_bias is not None
            replaced[names.down_bias] = refitted.down_bias
        save_tensors(layer_file(folder, layer), {name: tensor.cpu() for name, tensor in replaced.items()})
        for index, batch in enumerate(self._batches):
            attended = progress.pruned[index]
            output = ffn_output(refitted, inner_fitting(self._dense, refitted, attended, batch))
            progress.pruned[index] = add_ffn(self._pruned, refitted, attended, batch.valid, output)

    def _enter_layer(self, dense: LayerWeights, pruned: LayerWeights, progress: _Progress, index: int) -> torch.Tensor:
        """Attention of both streams and the dense FFN; returns what down should give on pruned inputs."""
        batch = self._batches[index]
        progress.dense[index] = pass_layer(self._dense, dense, progress.dense[index], batch)
        progress.pruned[index] = attend_fitting(self._dense, pruned, progress.pruned[index], batch)
        if self._target == "dense":
            return progress.dense[index][batch.valid] - progress.pruned[index][batch.valid]
        return ffn_output(dense, inner_fitting(self._dense, dense, progress.pruned[index], batch))

    def _choose_neurons(
        self, dense: LayerWeights, width: int, progress: _Progress, wanted: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        assert self._rounds is not None
        if self._rounds.criterion not in OBS:
            return keep_progressively(self._measure(dense, progress, wanted), self._dense, width, self._rounds)
        ffn = dense.gate.shape[0]
        gram = torch.zeros((ffn, ffn), dtype=torch.float64, device=dense.gate.device)
        for index in range(self._fitting):
            h = inner_fitting(self._dense, dense, progress.pruned[index], self._batches[index])
            gram.add_(h.T @ h)
        return keep_by_rounds(damp(gram), dense.down.double(), width, self._rounds)

    def _measure(self, dense: LayerWeights, progress: _Progress, wanted: Sequence[torch.Tensor]) -> Measured:
        ffn, hidden = dense.gate.shape
        counter, normal = NeuronCounter(self._dense, dense), Normal.zeros(ffn, hidden, device=dense.gate.device)
        for index, batch in enumerate(self._batches[: self._fitting]):
            h = counter.add(ffn_input(self._dense, dense, progress.pruned[index], batch.valid))
            normal.add(h, wanted[index])
        tokens = count_tokens(self._batches[: self._fitting])
        return Measured(dense, NeuronSums(*counter.sums.unbind()), tokens, normal)

    def _fit(
        self, pruned: LayerWeights, progress: _Progress, wanted: Sequence[torch.Tensor], shares: Sequence[float]
    ) -> tuple[torch.Tensor, Choice]:
        width, hidden = pruned.gate.shape
        fit = Normal.zeros(width, hidden, biased=self._bias, device=pruned.gate.device)
        held = Held(self._bias)
        for index, batch in enumerate(self._batches):
            side = fit if index < self._fitting else held
            lacking = wanted[index]
            if pruned.down_bias is not None and not self._bias:
                lacking = lacking - pruned.down_bias
            side.add(inner_fitting(self._dense, pruned, progress.pruned[index], batch), lacking)
        return choose_weight(fit, held, _start(pruned, biased=self._bias), shares)


def _start(pruned: LayerWeights, *, biased: bool) -> torch.Tensor:
    """The plain slice, float64 (hidden, k), with its bias or zeros as last column."""
    if not biased:
        return pruned.down.double()
    bias = pruned.down.new_zeros(pruned.down.shape[0]) if pruned.down_bias is None else pruned.down_bias
    return torch.cat((pruned.down, bias[:, None]), dim=1).double()


def _with_weight(pruned: LayerWeights, weight: torch.Tensor, *, biased: bool) -> LayerWeights:
    if not biased:
        return replace(pruned, down=weight.float())
    return replace(pruned, down=weight[:, :-1].float().contiguous(), down_bias=weight[:, -1].float().contiguous())

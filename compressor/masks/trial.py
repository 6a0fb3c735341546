"""What a choice of neurons comes to: the pruned model, reconstructed as the recipe says, measured on tuning rows."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from compressor.checkpoint import Overlay, TensorSource
from compressor.layers import ModelView, stream_loss
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Reconstruct
from compressor.reconstruct.refit import Refitter
from compressor.reconstruct.rounds import Rounds
from compressor.rows import Batch


@dataclass(frozen=True)
class Trials:
    """What candidates are pruned from and measured with. One trial costs what the stages prune and reconstruct cost."""

    dense: ModelView
    fitting: Sequence[Batch]
    """Calibration rows."""
    tuning: Sequence[Batch]
    reconstruct: Reconstruct | None
    rounds: Rounds | None = None
    """Where the reconstruction chooses the neurons itself, how; `kept` then gives the widths."""
    means: Sequence[torch.Tensor] | None = None
    """E[h] per layer, float64 (ffn,), where pruning adds the bias for what it removes."""

    def finished(self, kept: Sequence[torch.Tensor], folder: Path) -> ModelView:
        """The model that keeps `kept`, its tensors in `folder`, where an interrupted trial continues."""
        source, family = self.dense.source, self.dense.family
        write_pruned(source, family, kept, folder / "pruned", self.means)
        pruned = self._view(Overlay(source, replaced_tensors(folder / "pruned")))
        if self.reconstruct is None:
            return pruned
        refitter = Refitter(self.dense, pruned, self.fitting, self.tuning)
        if not refitter.run(self.reconstruct, folder / "refitted", self.rounds).used:
            return pruned
        return self._view(Overlay(pruned.source, replaced_tensors(folder / "refitted")))

    def loss(self, kept: Sequence[torch.Tensor], folder: Path) -> float:
        """Nats per token of the finished model on the tuning rows; `folder` is removed again."""
        found = stream_loss(self.finished(kept, folder), self.tuning)
        shutil.rmtree(folder)
        return found

    def _view(self, source: TensorSource) -> ModelView:
        return replace(self.dense, source=source)

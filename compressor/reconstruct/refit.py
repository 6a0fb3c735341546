"""What a recipe's [reconstruct] table asks for: one walk or one for each target, kept only where tuning text gains."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from compressor.layers import ModelView, stream_loss
from compressor.recipe.tables import Reconstruct
from compressor.reconstruct.rounds import Rounds
from compressor.reconstruct.solve import Choice
from compressor.reconstruct.walk import Reconstruction, Target, reachable_target
from compressor.rows import Batch
from compressor.walk import Advance, StreamCheckpoint


@dataclass(frozen=True)
class Refit:
    """What came of it; the layers lie in the folder only where it is `used`."""

    used: bool
    target: Target
    """The one that was used, whatever the recipe asked for."""
    loss_before: float
    """Of the plain pruned model on the tuning rows, nats per token; `losses` has the refitted one's by target."""
    losses: dict[Target, float]
    choices: list[Choice]
    kept: list[torch.Tensor]
    """With rounds: the neurons of each layer, int64."""

    def facts(self) -> dict[str, Any]:
        """For manifest and report."""
        return {
            "used": self.used,
            "target": self.target,
            "tuning_loss_before": self.loss_before,
            "tuning_loss_after": self.losses[self.target],
            "tuning_loss_by_target": self.losses,
            "layers": [asdict(choice) for choice in self.choices],
        }


@dataclass(frozen=True)
class Refitter:
    """The models and rows that any table is carried out on."""

    dense: ModelView
    pruned: ModelView
    fitting: Sequence[Batch]
    tuning: Sequence[Batch]

    def run(
        self,
        table: Reconstruct,
        folder: Path,
        rounds: Rounds | None = None,
        begin: Callable[[str], Advance] = lambda _: lambda: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> Refit:
        """Refit into `folder`, where an interrupted call continues. `begin` names a walk and gives its `advance`.

        `say` hears of a target that the family rules out. Raises MemoryShortError, StorageError.
        """
        asked: tuple[Target, ...] = ("dense", "own") if table.target == "best" else (table.target,)
        targets = sorted({reachable_target(self.dense, target) for target in asked})
        if targets != sorted(asked):
            say(
                f"reconstruct.target = {table.target}: a norm follows down here, so the target is the layer's own output"
            )
        before = stream_loss(self.pruned, self.tuning)
        walks: dict[Target, tuple[Reconstruction, list[Choice]]] = {}
        for target in targets:
            walk = Reconstruction(
                self.dense, self.pruned, self.fitting, self.tuning, target, bias=table.bias, rounds=rounds
            )
            state = StreamCheckpoint(folder / target / "state.safetensors")
            walks[target] = walk, walk.run(table.ridge, folder / target, state, begin(f"reconstruct, {target}"))
        losses = {target: walk.tuning_loss for target, (walk, _) in walks.items()}
        best = min(targets, key=lambda target: losses[target])
        used = losses[best] < before
        if used:
            # A walk that goes on from its state lacks the layers that an attempt killed right here has moved.
            for path in sorted((folder / best).glob("layer-*.safetensors")):
                path.replace(folder / path.name)
        for target in targets:
            shutil.rmtree(folder / target)
        return Refit(used, best, before, losses, walks[best][1], walks[best][0].kept)

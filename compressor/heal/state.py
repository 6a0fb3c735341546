"""Where an interrupted training continues: one file, replaced whole.

Nothing random is in it: each step draws from a seed of its own, the learning rate is a function of the step, and the rows
stand in their order, so the step's number is all there is to know about them.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from compressor.storage import load_state, save_tensors

Named = dict[str, torch.Tensor]


@dataclass
class Curves:
    """What training has seen: (step, loss in nats per weighted token), before the first step included for tuning."""

    train: list[tuple[int, float]] = field(default_factory=list)
    tuning: list[tuple[int, float]] = field(default_factory=list)

    @property
    def best(self) -> tuple[int, float]:
        """Step and loss of the best look at the tuning rows, the earliest where they tie."""
        return min(self.tuning, key=lambda point: (point[1], point[0]))


@dataclass
class TrainingState:
    """The adapters now and at their best, Adam's moments, the curves, and the step to do next."""

    next_step: int
    adapter: Named
    best: Named
    first: Named
    """Mean gradient by adapter tensor; empty before the first step."""
    second: Named
    """Mean squared gradient by adapter tensor."""
    curves: Curves


class TrainingCheckpoint:
    """The file behind a TrainingState."""

    def __init__(self, path: Path, every_s: float) -> None:
        self._path, self._every_s = path, every_s
        self._saved_at_s = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether enough work would be lost otherwise."""
        return time.monotonic() - self._saved_at_s >= self._every_s

    def load(self) -> TrainingState | None:
        """What was saved, or None; also where that is damaged."""
        saved = load_state(self._path)
        if saved is None:
            return None
        tensors, metadata = saved
        parts = {
            part: {
                name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")
            }
            for part in ("adapter", "best", "first", "second")
        }
        curves = json.loads(metadata["curves"])
        points = {name: [(int(step), float(loss)) for step, loss in curve] for name, curve in curves.items()}
        return TrainingState(int(metadata["next_step"]), curves=Curves(**points), **parts)

    def save(self, state: TrainingState) -> None:
        """Replace the file. Raises StorageError."""
        parts = {part: getattr(state, part) for part in ("adapter", "best", "first", "second")}
        tensors = {f"{part}/{name}": value.cpu() for part, named in parts.items() for name, value in named.items()}
        metadata = {"next_step": str(state.next_step), "curves": json.dumps(vars(state.curves))}
        save_tensors(self._path, tensors, metadata)
        self._saved_at_s = time.monotonic()

    def remove(self) -> None:
        """Forget the state once the result is written."""
        self._path.unlink(missing_ok=True)

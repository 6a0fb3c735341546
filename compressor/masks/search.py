"""Budget search: widths per layer that minimise the output KL to the dense model on tuning text.

First the curves (`compressor.masks.curves`), kept in a file, so that another budget needs no new ones; their sum,
minimised exactly, proposes an allocation. Then real models are measured, pruned and reconstructed as the recipe says: that
allocation, the uniform and the global one, and, from the best of these, pairwise moves of blocks from one layer to
another, drawn by seed, kept where the KL falls. A fixed number of measurements, each kept in a file.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.families.contract import ModelShape
from compressor.manifest import write_json
from compressor.masks.allocate import allocate
from compressor.masks.choose import choose, keep_highest
from compressor.masks.curves import CurveInputs, grid_widths, measure_curves
from compressor.masks.divergence import Divergence
from compressor.masks.trial import Trials
from compressor.rows import Batch, count_tokens
from compressor.storage import load_tensors, save_tensors
from compressor.walk import Advance, StreamCheckpoint

CURVE_TOKENS = 4096
"""At about so many tuning tokens the curves are measured; every n-th row of each batch is taken."""
LARGEST_MOVE = 8
"""The first moves are this part of a layer's blocks; they shrink to one block."""
DRAWS = 1000
"""Draws after which no new move is taken to be left."""


@dataclass(frozen=True)
class Found:
    """The widths chosen, and the KL in nats per position of all that were measured, by name."""

    widths: list[int]
    divergence: float
    starts: dict[str, float]
    measured: int


class Search:
    """One model's search: `curves` is the file of the curves, `folder` keeps what was measured across interruptions."""

    def __init__(
        self, trials: Trials, scores: Sequence[torch.Tensor], multiple: int, *, seed: int, curves: Path, folder: Path
    ) -> None:
        self._trials, self._scores, self._multiple, self._seed = trials, scores, multiple, seed
        self._curves, self._folder = curves, folder
        self._divergence: Divergence | None = None

    def measure_curves(self, advance: Advance = lambda: None) -> None:
        """Measure the curves where their file does not exist; `advance` is called once a layer."""
        shape = self._trials.dense.shape
        if self._curves.is_file():
            for _ in range(shape.layers):
                advance()
            return
        inputs = CurveInputs(
            dense=self._trials.dense,
            scores=self._scores,
            fitting=self._trials.fitting,
            tuning=sparser(self._trials.tuning),
            refit=self._trials.reconstruct is not None,
        )
        widths = grid_widths(shape.ffn, self._multiple)
        state = StreamCheckpoint(self._folder / "curves-state.safetensors")
        curves = measure_curves(inputs, widths, state, advance)
        save_tensors(self._curves, {"curves": curves, "widths": torch.tensor(widths)})
        state.remove()

    def by_curves(self, kept_total: int) -> list[int]:
        """The allocation that minimises the sum of the curves."""
        tensors, _ = load_tensors(self._curves)
        ffn = self._trials.dense.shape.ffn
        return allocate(tensors["curves"], tensors["widths"].tolist(), ffn, kept_total, self._multiple)

    def refine(self, kept_total: int, evaluations: int, advance: Advance = lambda: None) -> Found:
        """The best of the starts and of at most `evaluations` moves; `advance` is called once a measurement."""
        starts = {
            "curves": self.by_curves(kept_total),
            "global": [part.numel() for part in choose(self._scores, kept_total, "global", self._multiple)],
            "uniform": near_uniform(len(self._scores), kept_total, self._multiple),
        }
        losses = {}
        for name, widths in starts.items():
            losses[name] = self.divergence(widths)
            advance()
        name = min(losses, key=lambda start: losses[start])
        best, least = starts[name], losses[name]
        seen = {tuple(widths) for widths in starts.values()}
        generator = random.Random(self._seed)
        for turn in range(evaluations):
            proposal = self._move(best, turn / evaluations, seen, generator)
            if proposal is not None:
                seen.add(tuple(proposal))
                found = self.divergence(proposal)
                if found < least:
                    best, least = proposal, found
            advance()
        return Found(best, least, losses, len(seen))

    def divergence(self, widths: Sequence[int]) -> float:
        """KL in nats per position on the tuning rows of the finished model with these widths; measured once."""
        path, key = self._folder / "measured.json", ",".join(map(str, widths))
        measured: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if key not in measured:
            if self._divergence is None:
                self._divergence = Divergence(self._trials.dense, self._trials.tuning)
            trial = self._folder / f"trial-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
            kept = keep_highest(self._scores, widths)
            measured[key] = self._divergence.of_model(self._trials.finished(kept, trial))
            shutil.rmtree(trial)
            write_json(path, measured)
        return measured[key]

    def _move(
        self, widths: Sequence[int], progress: float, seen: set[tuple[int, ...]], generator: random.Random
    ) -> list[int] | None:
        """Some blocks from one layer to another, not measured before; None where no such move was drawn."""
        most = self._trials.dense.shape.ffn // self._multiple
        largest = max(1, round(most / LARGEST_MOVE * (1 - progress)))
        for _ in range(DRAWS if len(widths) > 1 else 0):
            giver, taker = generator.sample(range(len(widths)), 2)
            neurons = generator.randint(1, largest) * self._multiple
            moved = list(widths)
            moved[giver] -= neurons
            moved[taker] += neurons
            if moved[giver] > 0 and moved[taker] <= most * self._multiple and tuple(moved) not in seen:
                return moved
        return None


def sparser(batches: Sequence[Batch]) -> list[Batch]:
    """Every n-th row of each batch: about CURVE_TOKENS text positions, all where there are fewer."""
    step = max(1, count_tokens(batches) // CURVE_TOKENS)
    return [Batch(batch.ids[::step], batch.valid[::step]) for batch in batches]


def near_uniform(layers: int, kept_total: int, multiple: int) -> list[int]:
    """Widths that differ by one block at most, the wider layers last."""
    each, more = divmod(kept_total // multiple, layers)
    return [(each + (layer >= layers - more)) * multiple for layer in range(layers)]


def describe_cost(trials: Trials, multiple: int, evaluations: int) -> str:
    """What a search computes, in one line: products and sums in TFLOP."""
    shape = trials.dense.shape
    tuning, all_tokens = count_tokens(sparser(trials.tuning)), count_tokens([*trials.fitting, *trials.tuning])
    passes = len(grid_widths(shape.ffn, multiple)) * shape.layers * (shape.layers + 1) // 2
    layer = 2 * _layer_parameters(shape)
    curves = (passes * tuning + shape.layers * all_tokens) * layer + 2 * shape.layers * all_tokens * shape.ffn**2
    trial = shape.layers * all_tokens * (2 * layer + 2 * shape.ffn**2)
    return (
        f"budget search: curves {curves / 1e12:.2f} TFLOP ({passes} passes of {tuning} tokens through one layer), "
        f"then at most {evaluations + 3} trials of at most {trial / 1e12:.2f} TFLOP"
    )


def _layer_parameters(shape: ModelShape) -> int:
    return shape.hidden * (2 * (shape.heads + shape.kv_heads) * shape.head_dim + 3 * shape.ffn)

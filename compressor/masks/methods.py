"""The mask methods behind one face: a number of neurons to the neurons that stay."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from compressor.manifest import write_json
from compressor.masks.budget import Cost
from compressor.masks.choose import choose, keep_highest
from compressor.masks.learned import LearningInputs, learn_masks
from compressor.masks.search import Search, describe_cost
from compressor.masks.trial import Trials
from compressor.recipe.tables import Mask
from compressor.storage import load_tensors, save_tensors
from compressor.walk import Advance, StreamCheckpoint

Kept = list[torch.Tensor]


@dataclass(frozen=True)
class MaskInputs:
    """What a method may need."""

    trials: Trials
    scores: Sequence[torch.Tensor]
    """Per layer float64 (ffn,), high = stays."""
    evidence: Callable[[], torch.Tensor]
    """Ranks in [0, 1], (layers, scores, ffn): where `learned` starts."""
    rows: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
    """Calibration and tuning rows of token ids."""
    config: Mapping[str, Any]
    """The checkpoint's config.json."""
    cost: Cost
    mask: Mask
    one_width: bool
    """Every layer has to get the same width."""
    seed: int
    folder: Path
    """For what an interrupted run continues from."""
    curves: Path
    """The file of `search`'s curves."""
    step: Callable[[str, int], Advance]
    """Starts a progress bar."""
    say: Callable[[str], None]


class Method(Protocol):
    """How neurons are chosen for a total."""

    def candidate(self, kept_total: int) -> Kept:
        """The neurons that stay, as far as it can be said without measuring joint models."""

    def final(self, kept_total: int) -> tuple[Kept, dict[str, Any]]:
        """The neurons that stay, and facts for the manifest."""


def open_method(inputs: MaskInputs) -> Method:
    """The method that the recipe names; `search` measures its curves now."""
    name = inputs.mask.method
    if name == "learned":
        return _Learned(inputs)
    return _Searched(inputs) if name == "search" else _ByScores(inputs)


class _ByScores:
    def __init__(self, inputs: MaskInputs) -> None:
        self._inputs = inputs

    def candidate(self, kept_total: int) -> Kept:
        mask = self._inputs.mask
        return choose(self._inputs.scores, kept_total, mask.method, mask.multiple)

    def final(self, kept_total: int) -> tuple[Kept, dict[str, Any]]:
        return self.candidate(kept_total), {}


class _Learned:
    """Each total is learned by itself; what was learned is kept in the folder."""

    def __init__(self, inputs: MaskInputs) -> None:
        self._inputs = inputs

    def candidate(self, kept_total: int) -> Kept:
        return self.final(kept_total)[0]

    def final(self, kept_total: int) -> tuple[Kept, dict[str, Any]]:
        inputs = self._inputs
        path = inputs.folder / f"learned-{kept_total}.safetensors"
        if not path.is_file():
            state = StreamCheckpoint(inputs.folder / f"learning-{kept_total}.safetensors")
            advance = inputs.step(f"learn masks of {kept_total} neurons", inputs.mask.steps)
            learned = learn_masks(self._learning(kept_total), state, advance)
            kept = {f"layer.{layer:05d}": indices for layer, indices in enumerate(learned.kept)}
            save_tensors(path, {**kept, "tuning_loss": torch.tensor(learned.tuning_loss, dtype=torch.float64)})
            state.remove()
        tensors, _ = load_tensors(path)
        loss = float(tensors.pop("tuning_loss"))
        return [tensors[name] for name in sorted(tensors)], {"tuning_loss_masked": loss}

    def _learning(self, kept_total: int) -> LearningInputs:
        inputs = self._inputs
        return LearningInputs(
            dense=inputs.trials.dense,
            config=inputs.config,
            evidence=inputs.evidence(),
            calibrate=inputs.rows[0],
            tuning=inputs.rows[1],
            cost=inputs.cost,
            mask=inputs.mask,
            kept_total=kept_total,
            one_width=inputs.one_width,
            seed=inputs.seed,
        )


class _Searched:
    def __init__(self, inputs: MaskInputs) -> None:
        self._inputs = inputs
        mask, trials = inputs.mask, inputs.trials
        self._search = Search(
            trials, inputs.scores, mask.multiple, seed=inputs.seed, curves=inputs.curves, folder=inputs.folder
        )
        inputs.say(describe_cost(trials, mask.multiple, mask.evaluations))
        self._search.measure_curves(inputs.step("curves", trials.dense.shape.layers))

    def candidate(self, kept_total: int) -> Kept:
        return keep_highest(self._inputs.scores, self._search.by_curves(kept_total))

    def final(self, kept_total: int) -> tuple[Kept, dict[str, Any]]:
        evaluations = self._inputs.mask.evaluations
        advance = self._inputs.step(f"search widths of {kept_total} neurons", 3 + evaluations)
        found = self._search.refine(kept_total, evaluations, advance)
        facts = {"divergence": found.divergence, "starts": found.starts, "allocations_measured": found.measured}
        return keep_highest(self._inputs.scores, found.widths), {"search": facts}


class MeasuredSizes:
    """Tuning losses of a method's candidates by total kept, each measured once and kept in a file."""

    def __init__(self, method: Method, trials: Trials, folder: Path) -> None:
        self._method, self._trials, self._folder = method, trials, folder
        self._path = folder / "sizes.json"
        self.losses: dict[int, float] = {}
        if self._path.is_file():
            self.losses = {int(size): loss for size, loss in json.loads(self._path.read_text("utf-8")).items()}

    def __call__(self, kept_total: int) -> float:
        """Nats per token of the finished model that keeps so many neurons."""
        if kept_total not in self.losses:
            kept = self._method.candidate(kept_total)
            self.losses[kept_total] = self._trials.loss(kept, self._folder / f"size-{kept_total}")
            write_json(self._path, {str(size): loss for size, loss in self.losses.items()})
        return self.losses[kept_total]

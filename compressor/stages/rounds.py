"""Prune, heal, prune, heal: what stands before export, several times over, each time on what the time before left.

Rounds before the last cut every layer alike, so that what they leave is an ordinary checkpoint of a smaller model; the last
one has the recipe's own mask and budget, its result lies over the model as it came like that of a single round: healing
replaces every matrix of every layer, and nothing else has changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compressor.checkpoint import Checkpoint
from compressor.errors import BudgetError
from compressor.export_hf import export_hf
from compressor.job import Job
from compressor.recipe.tables import Budget, Recipe
from compressor.stages.contract import EXPORT, Outcome, Stage, replacing_stages
from compressor.stages.mask import most_neurons


@dataclass(frozen=True)
class _Round:
    """One round: where its stages lie, what it starts from, and its own recipe."""

    folder: str
    before: str
    """Folder of the round before; empty for the first."""
    width: int
    """FFN width that it starts from."""
    recipe: Recipe

    def planned(self, job: Job) -> Job:
        """What decides the stages' results; its checkpoint may be still to come, and earlier files stand for it."""
        return replace(job, recipe=self.recipe, round_folder=self.folder)

    def opened(self, job: Job) -> Job:
        """The job of this round, once the one before is done."""
        planned = self.planned(job)
        if not self.before:
            return planned
        checkpoint = Checkpoint(replace(job, round_folder=self.before).stage_folder(EXPORT) / "hf")
        shape = replace(job.shape, ffn=self.width)
        return replace(planned, checkpoint=checkpoint, shape=shape, before_rounds=job.checkpoint)


def in_rounds(job: Job, cutting: Sequence[Stage], rounds: int) -> tuple[Stage, ...]:
    """The stages `cutting`, once for each round, with a checkpoint written between two. Raises BudgetError."""
    stages: list[Stage] = []
    for part in _rounds(job, rounds):
        stages += [_bound(stage, part) for stage in cutting]
        if part.folder:
            stages.append(_bound(Stage(EXPORT, lambda _: {}, _run_checkpoint), part))
    return tuple(stages)


def _rounds(job: Job, rounds: int) -> list[_Round]:
    layers, dense, multiple = job.shape.layers, job.shape.ffn, job.recipe.mask.multiple
    kept = most_neurons(job)
    widths = [dense]
    for number in range(1, rounds):
        exact = dense - (dense - kept / layers) * number / rounds
        widths.append(int(exact) // multiple * multiple)
    if any(narrow >= wide for wide, narrow in zip(widths, [*widths[1:], kept / layers], strict=True)):
        raise BudgetError(
            f"heal.rounds = {rounds} cannot cut {dense} neurons a layer to {kept / layers:.0f} in steps of {multiple}; lower it"
        )
    parts = []
    for number, width in enumerate(widths, start=1):
        last = number == rounds
        wanted = kept if last else layers * widths[number]
        budget = Budget(ffn_share=1 - wanted / (layers * width))
        changed: dict[str, Any] = {"budget": budget}
        if not last:
            changed["mask"] = job.recipe.mask.model_copy(update={"method": "uniform"})
        folder = "" if last else f"round-{number}"
        before = f"round-{number - 1}" if number > 1 else ""
        parts.append(_Round(folder, before, width, job.recipe.model_copy(update=changed)))
    return parts


def _bound(stage: Stage, part: _Round) -> Stage:
    """The stage as it runs in one round."""
    assist = stage.assist
    return Stage(
        name=f"{part.folder}/{stage.name}" if part.folder else stage.name,
        inputs=lambda job: stage.inputs(part.planned(job)),
        run=lambda job, folder: stage.run(part.opened(job), folder),
        assist=None if assist is None else lambda job: assist(part.opened(job)),
    )


def _run_checkpoint(job: Job, folder: Path) -> Outcome:
    """What the round leaves, as a checkpoint for the next."""
    source = job.overlaid(replacing_stages(job))
    export_hf(source, job.checkpoint, folder / "hf")
    return Outcome(tuple(sorted(path for path in (folder / "hf").iterdir() if path.is_file())), {})

"""A cell's model: scores, widths, slices, reconstruction and healing laid over the dense checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from compressor.checkpoint import Overlay, TensorSource
from compressor.compare.atp import GateTask, learn_gates
from compressor.compare.bench import Bench, SeedInputs
from compressor.compare.cell import Cell
from compressor.compare.sequential import keep_sequentially
from compressor.criteria.flap import mean_activations
from compressor.criteria.score import ScoringInputs, llm_pruner_widths, score_layers, starting_ranks
from compressor.heal.heal import heal
from compressor.masks.choose import choose, keep_highest
from compressor.masks.methods import MaskInputs, open_method
from compressor.masks.trial import Trials
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Reconstruct
from compressor.reconstruct.rounds import OBS, rounds_for
from compressor.reconstruct.walk import Reconstruction
from compressor.stages.contract import layer_key
from compressor.storage import load_state, save_tensors
from compressor.walk import Advance, StreamCheckpoint

REFITTED_ALWAYS = "obs"
"""The criterion that is published together with its reconstruction."""


@dataclass(frozen=True)
class Built:
    """A cell's tensors and what was done for them."""

    source: TensorSource
    facts: dict[str, Any] = field(default_factory=dict)


def build_pruned(bench: Bench, cell: Cell, folder: Path, advance: Advance) -> Built:
    """Prune and reconstruct as the cell says, into `folder`; `advance` once a step where that takes long."""
    seed = bench.seed_inputs(cell.seed)
    job = bench.job
    if cell.criterion == "atp":
        task = GateTask(job, seed.rows.calibrate, seed.rows.tuning, bench.kept_total(cell.share), cell.seed)
        learned = learn_gates(task, folder / "atp", advance)
        return Built(learned.source, {"best_step": learned.best_step, "tuning_curve": learned.tuning_losses})
    trials = open_trials(bench, cell, seed)
    kept = keep_neurons(bench, cell, trials, seed, folder)
    if cell.criterion == REFITTED_ALWAYS:
        return Built(_refit_as_published(trials, kept, folder, advance))
    source = trials.finished(kept, folder).source
    if trials.reconstruct is None:
        return Built(source)
    # As in a recipe, a refit that makes the tuning loss worse is dropped.
    return Built(source, {"refit_used": any((folder / "refitted").glob("layer-*.safetensors"))})


def _refit_as_published(trials: Trials, kept: Sequence[torch.Tensor], folder: Path, advance: Advance) -> TensorSource:
    """Neurons chosen in rounds, then the refit, whatever the tuning text says: a recipe would fall back on the plain slice of
    the neurons that `activation` keeps, and nothing of the published method would be left."""
    dense, table = trials.dense, trials.reconstruct
    assert table is not None
    assert table.target != "best"
    write_pruned(dense.source, dense.family, kept, folder / "pruned")
    pruned = replace(dense, source=Overlay(dense.source, replaced_tensors(folder / "pruned")))
    walk = Reconstruction(dense, pruned, trials.fitting, trials.tuning, table.target, rounds=trials.rounds)
    walk.run(table.ridge, folder / "refitted", StreamCheckpoint(folder / "refitted.safetensors"), advance)
    return Overlay(pruned.source, replaced_tensors(folder / "refitted"))


def open_trials(bench: Bench, cell: Cell, seed: SeedInputs) -> Trials:
    """How the cell's candidates are finished: as `bedside compress` does for a recipe that says the same as the cell."""
    job = bench.job
    means = mean_activations(seed.statistics) if cell.reconstruction == "bias" else None
    rounds = rounds_for(cell.criterion, cell.rounds)
    refit = None
    if cell.reconstruction in {"own", "dense"}:
        table = job.recipe.reconstruct or Reconstruct()
        refit = table.model_copy(update={"target": cell.reconstruction, "rounds": cell.rounds})
    return Trials(job.dense(), seed.fitting, seed.tuning, refit, rounds, means)


def keep_neurons(bench: Bench, cell: Cell, trials: Trials, seed: SeedInputs, folder: Path) -> list[torch.Tensor]:
    """Kept indices per layer, int64; where the walk itself chooses the neurons, only their number counts.

    Raises BudgetError where the cell's allocation cannot meet its share.
    """
    shape, multiple = bench.job.shape, bench.job.recipe.mask.multiple
    kept_total = bench.kept_total(cell.share)
    if cell.allocation == "sequential":
        return keep_sequentially(trials.dense, seed.fitting, kept_total // shape.layers)
    # As in a recipe: for criteria that choose on the way, `activation` decides the widths.
    scores = criterion_scores(bench, "activation" if cell.criterion in OBS else cell.criterion, seed)
    if cell.allocation == "llm-pruner":
        return keep_highest(scores, llm_pruner_widths(shape.layers, shape.ffn, kept_total, multiple))
    if cell.allocation not in {"search", "learned"}:
        return choose(scores, kept_total, cell.allocation, multiple)
    # Kept for the seed: healing and the sweep ask for the same widths again, and a search is the dearest part.
    path = seed.folder / f"kept-{replace(cell, heal='none').name}.safetensors"
    saved = load_state(path)
    if saved is not None:
        return [saved[0][layer_key(layer)] for layer in range(shape.layers)]
    kept, _ = open_method(_mask_inputs(bench, cell, trials, seed, scores=scores, folder=folder)).final(kept_total)
    save_tensors(path, named(kept))
    return kept


def _mask_inputs(
    bench: Bench, cell: Cell, trials: Trials, seed: SeedInputs, *, scores: list[torch.Tensor], folder: Path
) -> MaskInputs:
    job = bench.job
    return MaskInputs(
        trials=trials,
        scores=scores,
        evidence=lambda: starting_ranks(cell.criterion, scores, seed.statistics, trials.dense),
        rows=(seed.rows.calibrate, seed.rows.tuning),
        config=job.checkpoint.config,
        cost=bench.cost,
        mask=job.recipe.mask.model_copy(update={"method": cell.allocation}),
        one_width=False,
        seed=seed.seed,
        folder=folder,
        curves=seed.folder / f"curves-{cell.criterion}-{cell.reconstruction}.safetensors",
        step=lambda _label, _total: lambda: None,
        say=lambda _: None,
    )


def build_healed(bench: Bench, cell: Cell, built: Built, folder: Path) -> Built:
    """LoRA on the cell's heal text, merged. Raises MemoryShortError, TextError, StorageError."""
    job = bench.job
    outcome = heal(
        job.view(built.source),
        job.dense(),
        job.checkpoint.config,
        bench.heal_recipe(cell.heal),
        bench.heal_rows(cell.heal),
        folder=folder,
    )
    source = Overlay(built.source, replaced_tensors(folder))
    facts = {**built.facts, "heal_steps": outcome.steps, "heal_best_step": outcome.best_step}
    return Built(source, {**facts, "train_curve": outcome.train_curve, "tuning_curve": outcome.tuning_curve})


def criterion_scores(bench: Bench, criterion: str, seed: SeedInputs) -> list[torch.Tensor]:
    """Scores per layer, float64 (ffn,), made once for each seed and kept on disk."""
    path = seed.folder / f"scores-{criterion}.safetensors"
    job = bench.job
    saved = load_state(path)
    if saved is not None:
        return [saved[0][layer_key(layer)] for layer in range(job.shape.layers)]
    inputs = ScoringInputs(job.dense(), seed.statistics, seed.rows.calibrate, job.checkpoint.config, seed.seed)
    scores = score_layers(criterion, inputs)
    save_tensors(path, named(scores))
    return scores


def named(layers: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """One tensor per layer under its name in a file."""
    return {layer_key(index): tensor for index, tensor in enumerate(layers)}

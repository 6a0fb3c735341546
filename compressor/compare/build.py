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
from compressor.criteria.flap import mean_activations
from compressor.criteria.layer import LayerInputs
from compressor.criteria.saliency import percentile_ranks, saliency_ranks
from compressor.criteria.score import ScoringInputs, score_layers
from compressor.heal.heal import heal
from compressor.masks.choose import choose
from compressor.masks.methods import MaskInputs, open_method
from compressor.masks.trial import Trials
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Reconstruct
from compressor.reconstruct.rounds import rounds_for
from compressor.reconstruct.walk import Reconstruction
from compressor.stages.contract import layer_key
from compressor.storage import load_tensors, save_tensors
from compressor.walk import Advance, StreamCheckpoint


@dataclass(frozen=True)
class Built:
    """A cell's tensors and what was done for them."""

    source: TensorSource
    facts: dict[str, Any] = field(default_factory=dict)


def build_pruned(bench: Bench, cell: Cell, folder: Path, advance: Advance) -> Built:
    """Prune and reconstruct as the cell says, into `folder`; `advance` once a layer where that takes long."""
    seed = bench.seed_inputs(cell.seed)
    job = bench.job
    if cell.criterion == "atp":
        task = GateTask(job, seed.rows.calibrate, bench.kept_total(cell.share), cell.seed)
        return Built(learn_gates(task, folder / "atp", advance))
    kept = keep_neurons(bench, cell, seed, folder)
    means = mean_activations(seed.statistics) if cell.reconstruction == "bias" else None
    write_pruned(job.checkpoint, job.family, kept, folder / "pruned", means)
    pruned = Overlay(job.checkpoint, replaced_tensors(folder / "pruned"))
    if cell.reconstruction in {"none", "bias"}:
        return Built(pruned)
    walk = Reconstruction(
        job.dense(),
        job.view(pruned),
        seed.fitting,
        seed.tuning,
        cell.reconstruction,
        rounds=rounds_for(cell.criterion, cell.rounds),
    )
    table = job.recipe.reconstruct or Reconstruct()
    choices = walk.run(table.ridge, folder / "refit", StreamCheckpoint(folder / "refit.safetensors"), advance)
    source = Overlay(pruned, replaced_tensors(folder / "refit"))
    return Built(source, {"ridge": [choice.ridge for choice in choices]})


def keep_neurons(bench: Bench, cell: Cell, seed: SeedInputs, folder: Path) -> list[torch.Tensor]:
    """Kept indices per layer, int64; where the walk itself chooses the neurons, only their number counts."""
    # As in a recipe: for criteria that choose on the way, `activation` decides the widths.
    ranking = cell.criterion if rounds_for(cell.criterion, cell.rounds) is None else "activation"
    scores = criterion_scores(bench, ranking, seed)
    kept_total = bench.kept_total(cell.share)
    if cell.allocation not in {"search", "learned"}:
        return choose(scores, kept_total, cell.allocation, bench.job.recipe.mask.multiple)
    # Kept for the seed: healing and the sweep ask for the same widths again, and a search is the dearest part.
    path = seed.folder / f"kept-{replace(cell, heal='none').name}.safetensors"
    if not path.is_file():
        kept, _ = open_method(_mask_inputs(bench, cell, seed, scores, folder)).final(kept_total)
        save_tensors(path, named(kept))
    tensors, _ = load_tensors(path)
    return [tensors[layer_key(layer)] for layer in range(bench.job.shape.layers)]


def _mask_inputs(bench: Bench, cell: Cell, seed: SeedInputs, scores: list[torch.Tensor], folder: Path) -> MaskInputs:
    job = bench.job
    table = job.recipe.reconstruct or Reconstruct()
    refit = (
        table.model_copy(update={"target": cell.reconstruction}) if cell.reconstruction in {"own", "dense"} else None
    )
    return MaskInputs(
        trials=Trials(job.dense(), seed.fitting, seed.tuning, refit),
        scores=scores,
        evidence=lambda: torch.stack(
            [_evidence(bench, cell, seed, layer, score) for layer, score in enumerate(scores)]
        ),
        rows=(seed.rows.calibrate, seed.rows.tuning),
        config=job.checkpoint.config,
        cost=bench.cost,
        mask=job.recipe.mask.model_copy(update={"method": cell.allocation}),
        one_width=False,
        seed=seed.seed,
        folder=folder,
        curves=seed.folder / f"curves-{cell.criterion}-{'sliced' if refit is None else 'refitted'}.safetensors",
        step=lambda _label, _total: lambda: None,
        say=lambda _: None,
    )


def _evidence(bench: Bench, cell: Cell, seed: SeedInputs, layer: int, score: torch.Tensor) -> torch.Tensor:
    """What `learned` starts from, ranks (scores, ffn): the two of the paper's saliency, else the one score's."""
    if cell.criterion != "saliency":
        return percentile_ranks(score)[None]
    statistics, job = seed.statistics, bench.job
    names = job.family.layer_names(layer)
    return saliency_ranks(LayerInputs(statistics.layers[layer], statistics.tokens, job.checkpoint, names))


def build_healed(bench: Bench, cell: Cell, built: Built, folder: Path) -> Built:
    """LoRA on the cell's heal text, merged. Raises MemoryShortError, TextError, StorageError."""
    job = bench.job
    recipe = bench.heal_recipe(cell.heal)
    outcome = heal(
        job.view(built.source),
        job.dense(),
        job.checkpoint.config,
        recipe,
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
    if not path.is_file():
        inputs = ScoringInputs(job.dense(), seed.statistics, seed.rows.calibrate, job.checkpoint.config, seed.seed)
        save_tensors(path, named(score_layers(criterion, inputs)))
    tensors, _ = load_tensors(path)
    return [tensors[layer_key(layer)] for layer in range(job.shape.layers)]


def named(layers: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """One tensor per layer under its name in a file."""
    return {layer_key(index): tensor for index, tensor in enumerate(layers)}

"""A cell's model: scores, widths, slices, reconstruction and healing laid over the dense checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from compressor.checkpoint import Overlay, TensorSource
from compressor.compare.bench import Bench, SeedInputs
from compressor.compare.cell import Cell
from compressor.criteria.score import ScoringInputs, score_layers
from compressor.masks.choose import choose
from compressor.prune import layer_file, replaced_tensors, write_pruned
from compressor.reconstruct.rounds import rounds_for
from compressor.reconstruct.walk import Reconstruction
from compressor.stages.contract import layer_key
from compressor.storage import load_tensors, save_tensors
from compressor.walk import Advance, StreamCheckpoint

DEFAULT_RIDGE = (0.0001, 0.001, 0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Built:
    """A cell's tensors and what was done for them."""

    source: TensorSource
    facts: dict[str, Any] = field(default_factory=dict)


def build_pruned(bench: Bench, cell: Cell, folder: Path, advance: Advance) -> Built:
    """Prune and reconstruct as the cell says, into `folder`; `advance` once a layer where that takes long."""
    seed = bench.seed_inputs(cell.seed)
    job = bench.job
    kept = keep_neurons(bench, cell, seed)
    write_pruned(job.checkpoint, job.family, kept, folder / "pruned")
    pruned = Overlay(job.checkpoint, replaced_tensors(folder / "pruned"))
    if cell.reconstruction == "none":
        return Built(pruned)
    if cell.reconstruction == "bias":
        write_mean_bias(bench, seed, kept, folder / "bias")
        return Built(Overlay(pruned, replaced_tensors(folder / "bias")))
    walk = Reconstruction(
        job.dense(),
        job.view(pruned),
        seed.fitting,
        seed.tuning,
        cell.reconstruction,
        rounds=rounds_for(cell.criterion, cell.rounds),
    )
    table = job.recipe.reconstruct
    shares = DEFAULT_RIDGE if table is None else table.ridge
    choices = walk.run(shares, folder / "refit", StreamCheckpoint(folder / "refit.safetensors"), advance)
    source = Overlay(pruned, replaced_tensors(folder / "refit"))
    return Built(source, {"ridge": [choice.ridge for choice in choices]})


def write_mean_bias(bench: Bench, seed: SeedInputs, kept: Sequence[torch.Tensor], folder: Path) -> None:
    """FLAP's compensation (arXiv 2312.11983): a bias of down, W_d[:,P]·E[h_P], for what the pruned neurons gave on average."""
    source, family = bench.job.checkpoint, bench.job.family
    for layer, (indices, sums) in enumerate(zip(kept, seed.statistics.layers, strict=True)):
        names = family.layer_names(layer)
        mean = sums.h / seed.statistics.tokens
        mean[indices] = 0
        bias = source.tensor(names.down).double() @ mean
        save_tensors(layer_file(folder, layer), {names.down_bias: bias.float()})


def keep_neurons(bench: Bench, cell: Cell, seed: SeedInputs) -> list[torch.Tensor]:
    """Kept indices per layer, int64; where the walk itself chooses the neurons, only their number counts."""
    kept_total = bench.kept_total(cell.share)
    shape = bench.job.shape
    if rounds_for(cell.criterion, cell.rounds) is not None:
        scores = [torch.arange(shape.ffn, dtype=torch.float64)] * shape.layers
    else:
        scores = criterion_scores(bench, cell.criterion, seed)
    return choose(scores, kept_total, cell.allocation, bench.job.recipe.mask.multiple)


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

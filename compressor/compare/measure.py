"""One cell measured: its model built, its losses on tuning and held-out text, its sizes."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compressor.compare.bench import Bench
from compressor.compare.build import Built, build_healed, build_pruned
from compressor.compare.cell import Cell, Losses, Measured
from compressor.compare.slicegpt import slice_model, slice_width, sliced_losses
from compressor.export_hf import ffn_widths
from compressor.job import unique_parameters
from compressor.layers import mean_loss
from compressor.rows import make_batches


def measure_cell(bench: Bench, cell: Cell, work: Path) -> Measured:
    """Build and measure one cell; `work` is removed once it is done. Raises BedsideError and what torch raises."""
    started_s = time.monotonic()
    work.mkdir(parents=True, exist_ok=True)
    if cell.criterion == "slicegpt":
        measured = _measure_sliced(bench, cell, started_s)
    else:
        measured = _measure_source(bench, cell, work, started_s)
    shutil.rmtree(work)
    return measured


def _measure_source(bench: Bench, cell: Cell, work: Path, started_s: float) -> Measured:
    seed = bench.seed_inputs(cell.seed)
    built = Built(bench.job.checkpoint)
    if cell.criterion != "dense":
        built = build_pruned(bench, cell, work, lambda: None)
    if cell.heal != "none":
        built = build_healed(bench, cell, built, work / "healed")
    source = built.source
    return _measured(
        cell,
        bench.measure(source),
        bench.tuning_loss(source, seed),
        widths=ffn_widths(source, bench.job.family, bench.job.shape),
        parameters=unique_parameters(source, bench.job.family, bench.job.shape),
        wall_s=time.monotonic() - started_s,
        facts=built.facts,
    )


def _measure_sliced(bench: Bench, cell: Cell, started_s: float) -> Measured:
    """SliceGPT at the parameters that the FFN-pruned models of this share have."""
    job, seed = bench.job, bench.seed_inputs(cell.seed)
    cost = bench.cost
    budget = cost.fixed_parameters + cost.parameters_per_neuron * bench.kept_total(cell.share)
    sliced = slice_model(job.dense(), seed.fitting, slice_width(job.shape, budget))
    losses = {text: sliced_losses(sliced, make_batches(held.rows)) for text, held in bench.held_out.items()}
    return _measured(
        cell,
        losses,
        mean_loss(sliced_losses(sliced, seed.tuning)),
        widths=[job.shape.ffn] * job.shape.layers,
        parameters=sliced.parameters,
        wall_s=time.monotonic() - started_s,
        facts={"hidden": sliced.embedding.shape[1], "parameters_allowed": budget},
    )


def _measured(
    cell: Cell,
    losses: Losses,
    tuning_loss: float,
    *,
    widths: Sequence[int],
    parameters: int,
    wall_s: float,
    facts: dict[str, Any],
) -> Measured:
    return Measured(cell, losses, tuning_loss, tuple(widths), parameters, round(wall_s, 2), facts)

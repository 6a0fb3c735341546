"""Stage 02: one score per neuron."""

from pathlib import Path
from typing import Any

from compressor.calibrate import load_statistics
from compressor.criteria.score import ScoringInputs, count_steps, score_layers
from compressor.criteria.taylor import taylor
from compressor.job import Job
from compressor.stages.contract import CALIBRATE, Outcome, layer_key
from compressor.storage import save_tensors
from compressor.tokens import load_rows
from compressor.walk import StreamCheckpoint

GRADIENTS_EVERY_S = 300.0
"""How often `taylor` saves its gradients: those of 8B are 22 GB."""


def saliency_inputs(job: Job) -> dict[str, Any]:
    """The criterion, and the seed that `random` draws with."""
    return {"criterion": job.recipe.saliency.criterion, "seed": job.recipe.calibrate.seed}


def run_saliency(job: Job, folder: Path) -> Outcome:
    """One score per neuron. Raises MemoryShortError where the criterion needs more memory than is free."""
    named = job.recipe.saliency.criterion
    # These choose during the reconstruction, within widths that come from here.
    criterion = "activation" if named in ("obs", "obs-exact") else named
    calibrated = job.stage_folder(CALIBRATE)
    inputs = ScoringInputs(
        model=job.dense(),
        statistics=load_statistics(calibrated / "stats.safetensors", job.shape.layers),
        rows=load_rows(calibrated / "rows.safetensors").calibrate,
        config=job.checkpoint.config,
        seed=job.recipe.calibrate.seed,
    )
    advance = job.reporter.step(f"score by {criterion}", count_steps(criterion, inputs))
    state = StreamCheckpoint(folder / "state.safetensors", GRADIENTS_EVERY_S)
    if criterion == "taylor":
        scores = taylor(inputs.model, inputs.config, inputs.rows, advance, state)
    else:
        scores = score_layers(criterion, inputs, advance)
    save_tensors(folder / "scores.safetensors", {layer_key(index): layer for index, layer in enumerate(scores)})
    state.remove()
    return Outcome((folder / "scores.safetensors",), {"criterion": criterion})

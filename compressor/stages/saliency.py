"""Stage 02: one score per neuron."""

from pathlib import Path
from typing import Any

from compressor.calibrate import load_statistics
from compressor.criteria.score import ScoringInputs, count_steps, score_layers
from compressor.job import Job
from compressor.stages.contract import CALIBRATE, Outcome, layer_key
from compressor.storage import save_tensors
from compressor.tokens import load_rows


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
    scores = score_layers(criterion, inputs, advance)
    save_tensors(folder / "scores.safetensors", {layer_key(index): layer for index, layer in enumerate(scores)})
    return Outcome((folder / "scores.safetensors",), {"criterion": criterion})

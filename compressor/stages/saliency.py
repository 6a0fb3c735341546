"""Stage 02: one score per neuron."""

from pathlib import Path

from compressor.calibrate import load_statistics
from compressor.criteria.saliency import saliency
from compressor.job import Job
from compressor.stages.contract import CALIBRATE, Outcome, layer_key
from compressor.storage import save_tensors


def run_saliency(job: Job, folder: Path) -> Outcome:
    """One score per neuron."""
    statistics = load_statistics(job.stage_folder(CALIBRATE) / "stats.safetensors", job.shape.layers)
    scores = {layer_key(index): saliency(sums, statistics.tokens) for index, sums in enumerate(statistics.layers)}
    save_tensors(folder / "scores.safetensors", scores)
    return Outcome((folder / "scores.safetensors",), {"criterion": job.recipe.saliency.criterion})

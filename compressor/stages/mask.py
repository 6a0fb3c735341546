"""Stage 03: kept neurons of every layer."""

from pathlib import Path

from compressor.job import Job
from compressor.masks.budget import neuron_ceiling
from compressor.masks.choose import choose
from compressor.sizes import model_cost
from compressor.stages.contract import SALIENCY, Outcome, layer_key
from compressor.storage import load_tensors, save_tensors


def most_neurons(job: Job) -> int:
    """The most neurons that the budget lets the job keep. Raises BudgetError."""
    return neuron_ceiling(job.recipe.budget, model_cost(job), job.recipe.mask.method, job.recipe.mask.multiple)


def run_mask(job: Job, folder: Path) -> Outcome:
    """Kept neurons of every layer. Raises BudgetError."""
    scores, _ = load_tensors(job.stage_folder(SALIENCY) / "scores.safetensors")
    mask = job.recipe.mask
    kept_total = most_neurons(job)
    layers = range(job.shape.layers)
    kept = choose([scores[layer_key(layer)] for layer in layers], kept_total, mask.method, mask.multiple)
    save_tensors(folder / "kept.safetensors", {layer_key(layer): kept[layer] for layer in layers})
    share = 1 - kept_total / (job.shape.layers * job.shape.ffn)
    facts = {"widths": [indices.numel() for indices in kept], "ffn_share_removed": share}
    return Outcome((folder / "kept.safetensors",), facts)

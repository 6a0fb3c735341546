"""Stage 04: slices of gate, up and down."""

from pathlib import Path
from typing import Any

from compressor.calibrate import load_statistics
from compressor.criteria.flap import mean_activations
from compressor.errors import FamilyError
from compressor.job import Job, unique_parameters
from compressor.prune import write_pruned
from compressor.stages.contract import CALIBRATE, MASK, PRUNE, Outcome, layer_key
from compressor.storage import load_tensors


def prune_inputs(job: Job) -> dict[str, Any]:
    """Whether a bias is added. Raises FamilyError for one that no file of the family can carry."""
    bias = job.recipe.saliency.bias
    if bias and not job.family.carries_down_bias:
        raise FamilyError(
            f"saliency.bias = true, but llama.cpp loads no bias of down for {job.family.architectures[0]}; set it to false"
        )
    return {"bias": bias}


def run_prune(job: Job, folder: Path) -> Outcome:
    """Slices of gate, up and down, and FLAP's bias where the recipe asks for it."""
    kept, _ = load_tensors(job.stage_folder(MASK) / "kept.safetensors")
    ordered = [kept[layer_key(layer)] for layer in range(job.shape.layers)]
    means = None
    if job.recipe.saliency.bias:
        means = mean_activations(load_statistics(job.stage_folder(CALIBRATE) / "stats.safetensors", job.shape.layers))
    write_pruned(job.checkpoint, job.family, ordered, folder, means)
    source = job.overlaid((PRUNE,))
    dense = unique_parameters(job.checkpoint, job.family, job.shape)
    facts = {"parameters": unique_parameters(source, job.family, job.shape), "dense_parameters": dense}
    return Outcome(tuple(sorted(folder.glob("layer-*.safetensors"))), facts)

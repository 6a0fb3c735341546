"""Stage 04: slices of gate, up and down."""

from pathlib import Path

from compressor.job import Job, unique_parameters
from compressor.prune import write_pruned
from compressor.stages.contract import MASK, PRUNE, Outcome, layer_key
from compressor.storage import load_tensors


def run_prune(job: Job, folder: Path) -> Outcome:
    """Slices of gate, up and down."""
    kept, _ = load_tensors(job.stage_folder(MASK) / "kept.safetensors")
    ordered = [kept[layer_key(layer)] for layer in range(job.shape.layers)]
    write_pruned(job.checkpoint, job.family, ordered, folder)
    source = job.overlaid((PRUNE,))
    dense = unique_parameters(job.checkpoint, job.family, job.shape)
    facts = {"parameters": unique_parameters(source, job.family, job.shape), "dense_parameters": dense}
    return Outcome(tuple(sorted(folder.glob("layer-*.safetensors"))), facts)

"""Stage 05: down refitted in closed form, and with `obs`, `obs-exact` or in rounds the neurons chosen on the way."""

from pathlib import Path
from typing import Any

from compressor.errors import FamilyError
from compressor.job import Job
from compressor.reconstruct.refit import Refitter
from compressor.reconstruct.rounds import rounds_for
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, PRUNE, Outcome, layer_key
from compressor.storage import save_tensors
from compressor.tokens import load_rows


def reconstruct_inputs(job: Job) -> dict[str, Any]:
    """The table and the criterion. Raises FamilyError for a bias that no file of the family can carry."""
    recipe = job.recipe.reconstruct
    if recipe is None:
        return {}
    if recipe.bias and not job.family.carries_down_bias:
        raise FamilyError(
            f"reconstruct.bias = true, but llama.cpp loads no bias of down for {job.family.architectures[0]}; set it to false"
        )
    return {**recipe.model_dump(), "criterion": job.recipe.saliency.criterion}


def run_reconstruct(job: Job, folder: Path) -> Outcome:
    """Refitted down matrices; none where they would make the tuning loss worse."""
    recipe = job.recipe.reconstruct
    assert recipe is not None
    rows = load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors")
    pruned = job.view(job.overlaid((PRUNE,)))
    refitter = Refitter(job.dense(), pruned, make_batches(rows.calibrate), make_batches(rows.tuning))
    rounds = rounds_for(job.recipe.saliency.criterion, recipe.rounds)
    reporter = job.reporter
    found = refitter.run(recipe, folder, rounds, lambda label: reporter.step(label, job.shape.layers), reporter.say)
    files = sorted(folder.glob("layer-*.safetensors")) if found.used else []
    if found.used and found.kept:
        path = folder / "kept.safetensors"
        save_tensors(path, {layer_key(layer): kept for layer, kept in enumerate(found.kept)})
        files.append(path)
    return Outcome(tuple(files), {**found.facts(), "rounds": 1 if rounds is None else rounds.count})

"""Stage 05: down refitted in closed form."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressor.job import Job
from compressor.layers import stream_loss
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, PRUNE, Outcome
from compressor.tokens import load_rows
from compressor.walk import StreamCheckpoint


def reconstruct_inputs(job: Job) -> dict[str, Any]:
    """The table."""
    return {} if job.recipe.reconstruct is None else job.recipe.reconstruct.model_dump()


def run_reconstruct(job: Job, folder: Path) -> Outcome:
    """Refitted down matrices; none where they would make the tuning loss worse."""
    recipe = job.recipe.reconstruct
    assert recipe is not None
    rows = load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors")
    tuning = make_batches(rows.tuning)
    pruned = job.view(job.overlaid((PRUNE,)))
    walk = Reconstruction(job.dense(), pruned, make_batches(rows.calibrate), tuning, recipe.target, bias=recipe.bias)
    state = StreamCheckpoint(folder / "state.safetensors")
    choices = walk.run(recipe.ridge, folder, state, job.reporter.step("reconstruct", job.shape.layers))
    state.remove()
    before = stream_loss(pruned, tuning)
    helps = walk.tuning_loss < before
    files = sorted(folder.glob("layer-*.safetensors"))
    if not helps:
        for path in files:
            path.unlink()
    facts = {
        "used": helps,
        "tuning_loss_before": before,
        "tuning_loss_after": walk.tuning_loss,
        "layers": [asdict(choice) for choice in choices],
    }
    return Outcome(tuple(files) if helps else (), facts)

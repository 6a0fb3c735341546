"""Stage 05: down refitted in closed form, and with `obs` and `obs-exact` the neurons chosen on the way."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressor.errors import FamilyError
from compressor.job import Job
from compressor.layers import ModelView, stream_loss
from compressor.reconstruct.rounds import rounds_for
from compressor.reconstruct.solve import Choice
from compressor.reconstruct.walk import Reconstruction, Target
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, PRUNE, Outcome, layer_key
from compressor.storage import save_tensors
from compressor.tokens import TokenRows, load_rows
from compressor.walk import StreamCheckpoint


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
    before = stream_loss(pruned, make_batches(rows.tuning))
    targets: tuple[Target, ...] = ("dense", "own") if recipe.target == "best" else (recipe.target,)
    walks = {target: _walk(job, folder / target, rows, pruned, target) for target in targets}
    target = min(walks, key=lambda name: walks[name][0].tuning_loss)
    walk, choices = walks[target]
    helps = walk.tuning_loss < before
    files = _keep(folder / target, folder, walk) if helps else []
    for name in targets:
        shutil.rmtree(folder / name)
    facts = {
        "used": helps,
        "target": target,
        "tuning_loss_before": before,
        "tuning_loss_after": walk.tuning_loss,
        "tuning_loss_by_target": {name: found.tuning_loss for name, (found, _) in walks.items()},
        "layers": [asdict(choice) for choice in choices],
    }
    return Outcome(tuple(files), facts)


def _walk(
    job: Job, folder: Path, rows: TokenRows, pruned: ModelView, target: Target
) -> tuple[Reconstruction, Sequence[Choice]]:
    recipe = job.recipe.reconstruct
    assert recipe is not None
    rounds = rounds_for(job.recipe.saliency.criterion, recipe.rounds)
    fitting, tuning = make_batches(rows.calibrate), make_batches(rows.tuning)
    walk = Reconstruction(job.dense(), pruned, fitting, tuning, target, bias=recipe.bias, rounds=rounds)
    state = StreamCheckpoint(folder / "state.safetensors")
    return walk, walk.run(recipe.ridge, folder, state, job.reporter.step(f"reconstruct, {target}", job.shape.layers))


def _keep(found: Path, folder: Path, walk: Reconstruction) -> list[Path]:
    """Put a walk's layers where they are looked for, and the neurons that it chose beside them."""
    for path in sorted(found.glob("layer-*.safetensors")):
        path.replace(folder / path.name)
    # Those that an earlier attempt had moved before it was killed are here, too.
    files = sorted(folder.glob("layer-*.safetensors"))
    if walk.kept:
        path = folder / "kept.safetensors"
        save_tensors(path, {layer_key(layer): kept for layer, kept in enumerate(walk.kept)})
        files.append(path)
    return files

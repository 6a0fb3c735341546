"""The stages that a recipe asks for, in order."""

from compressor.job import Job
from compressor.stages.calibrate import assist_calibrate, calibrate_inputs, run_calibrate
from compressor.stages.contract import (
    CALIBRATE,
    EVALUATE,
    EXPORT,
    HEAL,
    MASK,
    PRUNE,
    QUANTIZE,
    RECONSTRUCT,
    SALIENCY,
    Stage,
)
from compressor.stages.evaluate import evaluate_inputs, run_evaluate
from compressor.stages.export import run_export
from compressor.stages.heal import heal_inputs, run_heal
from compressor.stages.mask import mask_inputs, run_mask
from compressor.stages.prune import prune_inputs, run_prune
from compressor.stages.quantize import run_quantize
from compressor.stages.reconstruct import reconstruct_inputs, run_reconstruct
from compressor.stages.rounds import in_rounds
from compressor.stages.saliency import run_saliency, saliency_inputs


def _named(job: Job) -> dict[str, object]:
    return {"dense": job.wants_dense, "name": job.name, "recipe": job.recipe_name}


def plan(job: Job) -> tuple[Stage, ...]:
    """The stages that this job's recipe asks for, in order."""
    recipe = job.recipe
    stages = (
        Stage(CALIBRATE, calibrate_inputs, run_calibrate, assist_calibrate),
        Stage(SALIENCY, saliency_inputs, run_saliency),
        Stage(MASK, mask_inputs, run_mask),
        Stage(PRUNE, prune_inputs, run_prune),
        Stage(RECONSTRUCT, reconstruct_inputs, run_reconstruct),
        Stage(HEAL, heal_inputs, run_heal),
        Stage(EXPORT, lambda _: recipe.export.model_dump() | _named(job), run_export),
        Stage(QUANTIZE, lambda _: recipe.quantize.model_dump(), run_quantize),
        Stage(EVALUATE, evaluate_inputs, run_evaluate),
    )
    left_out = set() if recipe.prunes else {SALIENCY, MASK, PRUNE}
    left_out |= {RECONSTRUCT} if recipe.reconstruct is None else set()
    left_out |= set() if recipe.heals else {HEAL}
    wanted = tuple(stage for stage in stages if stage.name not in left_out)
    if recipe.heal is None or not recipe.heals or recipe.heal.rounds == 1:
        return wanted
    cutting = tuple(stage for stage in wanted if stage.name < EXPORT)
    return (*in_rounds(job, cutting, recipe.heal.rounds), *wanted[len(cutting) :])

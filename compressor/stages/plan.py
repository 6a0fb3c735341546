"""The stages that a recipe asks for, in order."""

from compressor.job import Job
from compressor.stages.calibrate import assist_calibrate, calibrate_inputs, run_calibrate
from compressor.stages.contract import (
    CALIBRATE,
    EVALUATE,
    EXPORT,
    MASK,
    PRUNE,
    QUANTIZE,
    RECONSTRUCT,
    SALIENCY,
    Stage,
)
from compressor.stages.evaluate import evaluate_inputs, run_evaluate
from compressor.stages.export import run_export
from compressor.stages.mask import run_mask
from compressor.stages.prune import run_prune
from compressor.stages.quantize import run_quantize
from compressor.stages.reconstruct import reconstruct_inputs, run_reconstruct
from compressor.stages.saliency import run_saliency, saliency_inputs


def plan(job: Job) -> tuple[Stage, ...]:
    """The stages that this job's recipe asks for, in order."""
    recipe = job.recipe
    stages = (
        Stage(CALIBRATE, calibrate_inputs, run_calibrate, assist_calibrate),
        Stage(SALIENCY, saliency_inputs, run_saliency),
        Stage(MASK, lambda _: {"mask": recipe.mask.model_dump(), "budget": recipe.budget.model_dump()}, run_mask),
        Stage(PRUNE, lambda _: {}, run_prune),
        Stage(RECONSTRUCT, reconstruct_inputs, run_reconstruct),
        Stage(EXPORT, lambda _: {"dense": job.wants_dense, "name": job.name, "recipe": job.recipe_name}, run_export),
        Stage(QUANTIZE, lambda _: recipe.quantize.model_dump(), run_quantize),
        Stage(EVALUATE, evaluate_inputs, run_evaluate),
    )
    return tuple(stage for stage in stages if stage.name != RECONSTRUCT or recipe.reconstruct is not None)

"""Stage 03: kept neurons of every layer."""

from pathlib import Path
from typing import Any

from compressor.calibrate import Statistics, load_statistics
from compressor.criteria.flap import mean_activations
from compressor.criteria.score import starting_ranks
from compressor.errors import RecipeError
from compressor.job import Job
from compressor.layers import stream_loss
from compressor.masks.budget import neuron_ceiling, neuron_step
from compressor.masks.methods import Kept, MaskInputs, MeasuredSizes, Method, open_method
from compressor.masks.retention import smallest_size
from compressor.masks.trial import Trials
from compressor.reconstruct.rounds import rounds_for
from compressor.rows import make_batches
from compressor.sizes import model_cost
from compressor.stages.contract import CALIBRATE, SALIENCY, Outcome, layer_key
from compressor.storage import load_tensors, save_tensors
from compressor.tokens import TokenRows, load_rows


def mask_inputs(job: Job) -> dict[str, Any]:
    """The tables [mask] and [budget]; all that makes a finished model too, where such are measured."""
    recipe = job.recipe
    tables: dict[str, Any] = {"mask": recipe.mask.model_dump(), "budget": recipe.budget.model_dump()}
    if recipe.mask.method == "search" or recipe.budget.retention is not None:
        tables["saliency"] = recipe.saliency.model_dump()
        tables["reconstruct"] = None if recipe.reconstruct is None else recipe.reconstruct.model_dump()
    return tables


def most_neurons(job: Job) -> int:
    """The most neurons that the budget lets the job keep. Raises BudgetError, RecipeError before any work is done."""
    if not job.recipe.prunes:
        return job.shape.layers * job.shape.ffn
    allocation = _allocation(job)
    return neuron_ceiling(job.recipe.budget, model_cost(job), allocation, job.recipe.mask.multiple)


def _allocation(job: Job) -> str:
    """`uniform` where every layer gets one width. Raises RecipeError where the family needs that and the method not."""
    method = job.recipe.mask.method
    refusal = job.family.allows_unequal_widths(job.checkpoint.config)
    if refusal is None or method == "uniform":
        return method
    if method == "learned":
        return "uniform"
    raise RecipeError(f"mask.method = {method} gives layers unequal widths: {refusal}; use uniform or learned")


def run_mask(job: Job, folder: Path) -> Outcome:
    """Kept neurons of every layer. Raises BudgetError, MemoryShortError."""
    inputs = _open_inputs(job, folder)
    method = open_method(inputs)
    if job.recipe.budget.retention is None:
        kept, facts = method.final(most_neurons(job))
    else:
        kept, facts = _retain(job, inputs, method)
    save_tensors(folder / "kept.safetensors", {layer_key(layer): indices for layer, indices in enumerate(kept)})
    widths = [indices.numel() for indices in kept]
    removed = 1 - sum(widths) / inputs.cost.neurons
    return Outcome((folder / "kept.safetensors",), {"widths": widths, "ffn_share_removed": removed, **facts})


def _retain(job: Job, inputs: MaskInputs, method: Method) -> tuple[Kept, dict[str, Any]]:
    """The smallest model that holds budget.retention, as it was measured: `search` by its curves alone."""
    retention, multiple = job.recipe.budget.retention, job.recipe.mask.multiple
    assert retention is not None
    step = neuron_step(inputs.cost, _allocation(job), multiple)
    # The fewest neurons, one block a layer, are a multiple of every step.
    sizes = range(inputs.cost.layers * multiple, most_neurons(job) + 1, step)
    measured = MeasuredSizes(method, inputs.trials, inputs.folder)
    dense_loss = stream_loss(inputs.trials.dense, inputs.trials.tuning)
    kept_total = smallest_size(measured, sizes, dense_loss, retention)
    losses = {str(size): loss for size, loss in sorted(measured.losses.items())}
    return method.candidate(kept_total), {"retention": {"dense_loss": dense_loss, "losses": losses}}


def _open_inputs(job: Job, folder: Path) -> MaskInputs:
    recipe, scores_folder = job.recipe, job.stage_folder(SALIENCY)
    scores, _ = load_tensors(scores_folder / "scores.safetensors")
    ordered = [scores[layer_key(layer)] for layer in range(job.shape.layers)]
    rows = load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors")
    kind = "sliced" if recipe.reconstruct is None else "refitted"
    return MaskInputs(
        trials=_open_trials(job, rows),
        scores=ordered,
        evidence=lambda: starting_ranks(recipe.saliency.criterion, ordered, _statistics(job), job.dense()),
        rows=(rows.calibrate, rows.tuning),
        config=job.checkpoint.config,
        cost=model_cost(job),
        mask=recipe.mask,
        one_width=_allocation(job) == "uniform",
        seed=recipe.calibrate.seed,
        folder=folder,
        # Beside the scores, which decide them: another budget empties the mask's folder and needs no new curves.
        curves=scores_folder / f"curves-{recipe.mask.multiple}-{kind}.safetensors",
        step=job.reporter.step,
        say=job.reporter.say,
    )


def _open_trials(job: Job, rows: TokenRows) -> Trials:
    recipe, means = job.recipe, None
    if recipe.saliency.bias:
        means = mean_activations(_statistics(job))
    rounds = None if recipe.reconstruct is None else rounds_for(recipe.saliency.criterion, recipe.reconstruct.rounds)
    fitting, tuning = make_batches(rows.calibrate), make_batches(rows.tuning)
    return Trials(job.dense(), fitting, tuning, recipe.reconstruct, rounds, means)


def _statistics(job: Job) -> Statistics:
    return load_statistics(job.stage_folder(CALIBRATE) / "stats.safetensors", job.shape.layers)

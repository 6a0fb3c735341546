"""The stages in order. Each reads the job and earlier stages' folders and leaves files and facts.

A stage names its inputs (all that decides its result besides earlier files) so that the pipeline can skip it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compressor.calibrate import calibrate, load_statistics, save_statistics
from compressor.errors import BudgetError
from compressor.evaluate import evaluate_file, read_texts
from compressor.export_gguf import export_gguf
from compressor.export_hf import export_hf, ffn_widths
from compressor.importance import importance
from compressor.job import Job, unique_parameters
from compressor.layers import StreamCheckpoint, count_tokens, make_batches, stream_loss
from compressor.manifest import write_json
from compressor.mask import choose, neuron_ceiling
from compressor.prune import write_pruned
from compressor.quantize import check_types, quantize_file
from compressor.reconstruct import Reconstruction
from compressor.saliency import saliency
from compressor.sizes import model_cost
from compressor.storage import load_tensors, save_tensors
from compressor.text import Split, read_source, resolve_file
from compressor.tokens import build_rows, load_rows, save_rows
from models.disk import hash_file
from models.errors import TextError

CALIBRATE, SALIENCY, MASK, PRUNE = "01-calibrate", "02-saliency", "03-mask", "04-prune"
RECONSTRUCT, EXPORT, QUANTIZE, EVALUATE = "05-reconstruct", "07-export", "08-quantize", "09-evaluate"


@dataclass(frozen=True)
class Outcome:
    """What a stage leaves: files, and facts for manifest and report."""

    files: tuple[Path, ...]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One step: what decides its result, and how to do it."""

    name: str
    inputs: Callable[[Job], Mapping[str, Any]]
    run: Callable[[Job, Path], Outcome]


def plan(job: Job) -> tuple[Stage, ...]:
    """The stages that this job's recipe asks for, in order."""
    recipe = job.recipe
    stages = (
        Stage(CALIBRATE, calibrate_inputs, run_calibrate),
        Stage(SALIENCY, lambda _: recipe.saliency.model_dump(), run_saliency),
        Stage(MASK, lambda _: {"mask": recipe.mask.model_dump(), "budget": recipe.budget.model_dump()}, run_mask),
        Stage(PRUNE, lambda _: {}, run_prune),
        Stage(RECONSTRUCT, reconstruct_inputs, run_reconstruct),
        Stage(EXPORT, lambda _: {"dense": job.wants_dense, "name": job.name, "recipe": job.recipe_name}, run_export),
        Stage(QUANTIZE, lambda _: recipe.quantize.model_dump(), run_quantize),
        Stage(EVALUATE, evaluate_inputs, run_evaluate),
    )
    return tuple(stage for stage in stages if stage.name != RECONSTRUCT or recipe.reconstruct is not None)


def calibrate_inputs(job: Job) -> dict[str, Any]:
    """The table and the text it names."""
    recipe = job.recipe.calibrate
    sources = sorted({*recipe.text, *(["starter"] if recipe.grounded_share else [])})
    return {"recipe": recipe.model_dump(), "text": {source: text_digest(job, source, "train") for source in sources}}


def evaluate_inputs(job: Job) -> dict[str, Any]:
    """The table and the text it names."""
    recipe = job.recipe.evaluate
    return {
        "recipe": recipe.model_dump(),
        "text": {source: text_digest(job, source, "valid") for source in recipe.text},
    }


def text_digest(job: Job, source: str, split: Split) -> str:
    """Hash of the text behind a source. Raises TextError where it is missing."""
    path = resolve_file(source, job.data, split)
    if path is None:
        documents = read_source(source, job.data, split)
        return hashlib.sha256("\0".join(document.text for document in documents).encode()).hexdigest()
    if not path.is_file():
        raise TextError(f"text {path} is missing; give starter, a corpus with --data DIR, or a JSONL file")
    return hash_file(path)


def run_calibrate(job: Job, folder: Path) -> Outcome:
    """Token rows and sums per neuron."""
    rows = build_rows(job.recipe.calibrate, job.tokenizer, job.data)
    batches = make_batches(rows.calibrate)
    state = StreamCheckpoint(folder / "state.safetensors")
    statistics = calibrate(job.dense(), batches, state, job.reporter.step("calibrate", job.shape.layers))
    save_statistics(folder / "stats.safetensors", statistics)
    save_rows(folder / "rows.safetensors", rows)
    state.remove()
    facts = {"rows": len(rows.calibrate), "tokens": count_tokens(batches), "tuning_rows": len(rows.tuning)}
    return Outcome((folder / "stats.safetensors", folder / "rows.safetensors"), facts)


def run_saliency(job: Job, folder: Path) -> Outcome:
    """One score per neuron."""
    statistics = load_statistics(job.stage_folder(CALIBRATE) / "stats.safetensors", job.shape.layers)
    scores = {_layer(index): saliency(sums, statistics.tokens) for index, sums in enumerate(statistics.layers)}
    save_tensors(folder / "scores.safetensors", scores)
    return Outcome((folder / "scores.safetensors",), {"criterion": job.recipe.saliency.criterion})


def run_mask(job: Job, folder: Path) -> Outcome:
    """Kept neurons of every layer. Raises BudgetError."""
    scores, _ = load_tensors(job.stage_folder(SALIENCY) / "scores.safetensors")
    mask = job.recipe.mask
    kept_total = neuron_ceiling(job.recipe.budget, model_cost(job), mask.method, mask.multiple)
    layers = range(job.shape.layers)
    kept = choose([scores[_layer(layer)] for layer in layers], kept_total, mask.method, mask.multiple)
    save_tensors(folder / "kept.safetensors", {_layer(layer): kept[layer] for layer in layers})
    share = 1 - kept_total / (job.shape.layers * job.shape.ffn)
    facts = {"widths": [indices.numel() for indices in kept], "ffn_share_removed": share}
    return Outcome((folder / "kept.safetensors",), facts)


def run_prune(job: Job, folder: Path) -> Outcome:
    """Slices of gate, up and down."""
    kept, _ = load_tensors(job.stage_folder(MASK) / "kept.safetensors")
    ordered = [kept[_layer(layer)] for layer in range(job.shape.layers)]
    write_pruned(job.checkpoint, job.family, ordered, folder)
    source = job.overlaid((PRUNE,))
    dense = unique_parameters(job.checkpoint, job.family, job.shape)
    facts = {"parameters": unique_parameters(source, job.family, job.shape), "dense_parameters": dense}
    return Outcome(tuple(sorted(folder.glob("layer-*.safetensors"))), facts)


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
    walk = Reconstruction(job.dense(), pruned, make_batches(rows.calibrate), tuning, recipe.target)
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


def run_export(job: Job, _: Path) -> Outcome:
    """`hf/` and the F16 files."""
    source = job.overlaid(replacing_stages(job))
    widths = ffn_widths(source, job.family, job.shape)
    files = [job.gguf_path("f16")]
    advance = job.reporter.step("export", 2 + job.wants_dense)
    export_hf(source, job.checkpoint.folder, widths, job.out / "hf")
    advance()
    export_gguf(job.gguf_model(source, f"{job.name}-{job.recipe_name}"), job.gguf_path("f16"))
    advance()
    if job.wants_dense:
        export_gguf(job.gguf_model(job.checkpoint, job.name), job.dense_path)
        files.append(job.dense_path)
        advance()
    loads = len(set(widths)) == 1
    files += sorted(path for path in (job.out / "hf").iterdir() if path.is_file())
    facts = {"widths": list(widths), "hf_loads_in_transformers": loads, "architecture": "llama" if loads else "deci"}
    if not loads:
        facts["hf_note"] = (
            "widths differ by layer (intermediate_sizes in config.json): plain transformers cannot load hf/"
        )
    return Outcome(tuple(files), facts)


def run_quantize(job: Job, _: Path) -> Outcome:
    """The Q4_0 file, read back. Raises QuantizationError, BudgetError."""
    path = job.gguf_path("q4_0")
    imatrix = None
    if job.recipe.quantize.imatrix:
        rows = load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors")
        model = job.view(job.overlaid(replacing_stages(job)))
        imatrix = importance(model, make_batches(rows.calibrate), job.reporter.step("importance", job.shape.layers))
    advance = job.reporter.step("quantize", 1)
    quantize_file(job.gguf_path("f16"), path, imatrix)
    advance()
    types = check_types(path, tied=job.shape.tied)
    limit = job.recipe.budget.bytes
    if limit is not None and path.stat().st_size > limit:
        raise BudgetError(
            f"{path.name} has {path.stat().st_size} bytes, over budget.bytes = {limit}; lower it by the difference"
        )
    return Outcome((path,), {"types": types, "bytes": path.stat().st_size})


def run_evaluate(job: Job, folder: Path) -> Outcome:
    """Size, perplexity and speed of every finished file."""
    recipe = job.recipe.evaluate
    texts = {source: read_texts(source, job.data, recipe.documents) for source in recipe.text}
    files = {"pruned F16": job.gguf_path("f16"), "pruned Q4_0": job.gguf_path("q4_0")}
    if job.wants_dense:
        files = {"dense F16": job.dense_path, **files}
    neurons = job.shape.layers * job.shape.ffn
    rows = [
        evaluate_file(label, path, texts, window=recipe.context_tokens, dense_neurons=neurons, reporter=job.reporter)
        for label, path in files.items()
    ]
    write_json(folder / "evaluation.json", {"rows": rows})
    return Outcome((folder / "evaluation.json",), {"rows": rows})


def replacing_stages(job: Job) -> tuple[str, ...]:
    """Stages whose folders hold tensors to lay over the checkpoint, in order."""
    return (PRUNE,) if job.recipe.reconstruct is None else (PRUNE, RECONSTRUCT)


def _layer(index: int) -> str:
    return f"layer.{index:03d}"

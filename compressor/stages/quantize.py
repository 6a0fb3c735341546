"""Stage 08: the quantized files, read back."""

from pathlib import Path

from compressor.attribution import attribute_rise, steps
from compressor.checkpoint import TensorSource
from compressor.errors import BudgetError
from compressor.importance import Importance, importance
from compressor.job import Job
from compressor.quantize import QuantizedType, check_types, fallbacks, quantize_file
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, Outcome, compared_files, replacing_stages
from compressor.tokens import TokenRows, load_rows

ATTRIBUTED_ROWS = 32
"""Tuning rows on which `compare = ["tensors"]` measures."""


def run_quantize(job: Job, folder: Path) -> Outcome:
    """The Q4_0 file and those it is compared with, read back. Raises QuantizationError, BudgetError."""
    rows = load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors")
    imatrix = _imatrix(job, job.overlaid(replacing_stages(job)), rows, "importance")
    path = job.gguf_path("q4_0")
    types = {path.name: _make(job, job.gguf_path("f16"), path, imatrix)}
    limit = job.recipe.budget.bytes
    if limit is not None and path.stat().st_size > limit:
        raise BudgetError(
            f"{path.name} has {path.stat().st_size} bytes, over budget.bytes = {limit}; lower it by the difference"
        )
    types |= _make_compared(job, rows, imatrix)
    notes = fallbacks(path, tied=job.shape.tied)
    for note in notes:
        job.reporter.say(f"{path.name}: {note}")
    facts = {"types": types[path.name], "bytes": path.stat().st_size, "compared_types": types, "notes": notes}
    if "tensors" in job.recipe.quantize.compare:
        advance = job.reporter.step("tensors", steps(job.shape.layers))
        tuning = rows.tuning[:ATTRIBUTED_ROWS]
        scratch = folder / "scratch.gguf"
        facts["rise_nats"] = attribute_rise(
            job.gguf_path("f16"), imatrix, tuning, layers=job.shape.layers, scratch=scratch, advance=advance
        )
    return Outcome(tuple(job.gguf_path("f16").with_name(name) for name in types), facts)


def _make_compared(job: Job, rows: TokenRows, imatrix: Importance | None) -> dict[str, dict[str, int]]:
    """File name to the types found, for the files that `quantize.compare` names."""
    files, made = compared_files(job), {}
    source = job.gguf_path("f16")
    if (dense := files.get("dense")) is not None:
        own = _imatrix(job, job.checkpoint, rows, "importance, dense")
        made[dense.name] = _make(job, job.dense_path, dense, own)
    if (plain := files.get("no-imatrix")) is not None:
        made[plain.name] = _make(job, source, plain, None)
    kinds: tuple[QuantizedType, ...] = ("q4_k_m", "q8_0")
    for kind in kinds:
        if kind in files:
            made[files[kind].name] = _make(job, source, files[kind], imatrix, kind)
    return made


def _imatrix(job: Job, source: TensorSource, rows: TokenRows, label: str) -> Importance | None:
    if not job.recipe.quantize.imatrix:
        return None
    return importance(job.view(source), make_batches(rows.calibrate), job.reporter.step(label, job.shape.layers))


def _make(
    job: Job, source: Path, target: Path, imatrix: Importance | None, kind: QuantizedType = "q4_0"
) -> dict[str, int]:
    advance = job.reporter.step(f"quantize {target.name}", 1)
    quantize_file(source, target, imatrix, file_type=kind)
    advance()
    return check_types(target, tied=job.shape.tied, file_type=kind)

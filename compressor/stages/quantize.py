"""Stage 08: the quantized file, read back."""

from pathlib import Path

from compressor.errors import BudgetError
from compressor.importance import importance
from compressor.job import Job
from compressor.quantize import check_types, quantize_file
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, Outcome, replacing_stages
from compressor.tokens import load_rows


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

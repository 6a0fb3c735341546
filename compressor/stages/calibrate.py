"""Stage 01: token rows and sums per neuron."""

from pathlib import Path
from typing import Any

from compressor.calibrate import calibrate, save_statistics
from compressor.job import Job
from compressor.rows import count_tokens, make_batches
from compressor.stages.contract import Outcome, text_digest
from compressor.tokens import build_rows, save_rows
from compressor.walk import StreamCheckpoint


def calibrate_inputs(job: Job) -> dict[str, Any]:
    """The table and the text it names."""
    recipe = job.recipe.calibrate
    sources = sorted({*recipe.text, *(["starter"] if recipe.grounded_share else [])})
    return {"recipe": recipe.model_dump(), "text": {source: text_digest(job, source, "train") for source in sources}}


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

"""Stage 01: token rows and sums per neuron."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compressor.calibrate import Statistics, calibrate, save_statistics
from compressor.distributed import device_name
from compressor.job import Job
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, Outcome, text_digest
from compressor.tokens import TokenRows, asked_rows, merge_rows, rows_by_source, save_rows
from compressor.walk import StreamCheckpoint


def calibrate_inputs(job: Job) -> dict[str, Any]:
    """The table and the text it names."""
    recipe = job.recipe.calibrate
    sources = sorted({*recipe.text, *(["starter"] if recipe.grounded_share else [])})
    return {
        "recipe": recipe.model_dump(),
        "chat_template": job.tokenizer.chat_template,
        "text": {source: text_digest(job, source, "train") for source in sources},
    }


def run_calibrate(job: Job, folder: Path) -> Outcome:
    """Token rows and sums per neuron. Raises TextError, CheckpointError, MemoryShortError."""
    parts = rows_by_source(job.recipe.calibrate, job.tokenizer, job.data)
    rows = merge_rows(parts)
    notes = _shortfalls(job, parts)
    state = _state(job)
    statistics = _sum(job, rows, state)
    save_statistics(folder / "stats.safetensors", statistics)
    save_rows(folder / "rows.safetensors", rows)
    state.remove()
    facts = {
        "rows": len(rows.calibrate),
        "tokens": statistics.tokens,
        "tuning_rows": len(rows.tuning),
        "text": {
            source: {"rows": len(part.calibrate), "tokens": sum(map(len, part.calibrate))}
            for source, part in parts.items()
        },
        "device": device_name(job.group.device),
        "processes": job.group.size,
        "notes": notes,
    }
    return Outcome((folder / "stats.safetensors", folder / "rows.safetensors"), facts)


def _shortfalls(job: Job, parts: Mapping[str, TokenRows]) -> list[str]:
    """What texts gave less than the recipe asks for, said to the user as well."""
    asked = asked_rows(job.recipe.calibrate)
    notes = [
        f"text {source} gives {len(part.calibrate)} of the {asked[source]} rows asked for"
        for source, part in parts.items()
        if len(part.calibrate) < asked[source]
    ]
    for note in notes:
        job.reporter.say(f"{note}; calibration goes on with those")
    return notes


def assist_calibrate(job: Job) -> None:
    """Another process's share of the rows."""
    _sum(job, merge_rows(rows_by_source(job.recipe.calibrate, job.tokenizer, job.data)), _state(job))


def _state(job: Job) -> StreamCheckpoint:
    return StreamCheckpoint(job.stage_folder(CALIBRATE) / "state.safetensors")


def _sum(job: Job, rows: TokenRows, state: StreamCheckpoint) -> Statistics:
    advance = job.reporter.step("calibrate", job.shape.layers)
    batches = make_batches(rows.calibrate)
    return calibrate(job.dense(), batches, state, advance, group=job.group, say=job.reporter.say)

"""Stage 06: LoRA merged into the pruned model."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressor.heal.heal import heal
from compressor.heal.rows import SECTIONED, HealRows, build_heal_rows, source_name
from compressor.heal.training import count_steps
from compressor.job import Job
from compressor.recipe.tables import Heal
from compressor.stages.contract import Outcome, reconstructed_stages, text_digest


def heal_inputs(job: Job) -> dict[str, Any]:
    """The table, and the text it reads."""
    recipe = job.recipe.heal
    if recipe is None or not job.recipe.heals:
        return {}
    notes = recipe.grounded_share and recipe.data != SECTIONED
    sources = sorted({source_name(recipe), *(["starter"] if notes else [])})
    return {"recipe": recipe.model_dump(), "text": {source: text_digest(job, source, "train") for source in sources}}


def run_heal(job: Job, folder: Path) -> Outcome:
    """Merged layers, and the loss curves. Raises MemoryShortError, RecipeError, TextError."""
    recipe = job.recipe.heal
    assert recipe is not None
    pruned = job.view(job.overlaid(reconstructed_stages(job)))
    rows = build_heal_rows(recipe, job.tokenizer, job.data)
    advance = job.reporter.step("heal", count_steps(recipe, rows))
    outcome = heal(
        pruned, job.teacher(), job.checkpoint.config, recipe, rows, folder=folder, advance=advance, say=job.reporter.say
    )
    return Outcome(tuple(sorted(folder.glob("layer-*.safetensors"))), {**asdict(outcome), **_read(recipe, rows)})


def _read(recipe: Heal, rows: HealRows) -> dict[str, int]:
    """How much text training may have seen, early stopping left aside."""
    seen = rows.train[: count_steps(recipe, rows) * recipe.batch_rows]
    return {"rows": len(seen), "tokens": sum(len(row.ids) for row in seen), "tuning_rows": len(rows.tuning)}

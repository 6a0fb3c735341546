"""Running a comparison: finished cells are kept; a cell that fails or cannot be had is recorded and stops no other."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from compressor.compare.bench import Bench, heal_table, open_bench
from compressor.compare.cell import FORMAT, Cell, Measured, Missing, dense_cell, read_all, write_measured, write_missing
from compressor.compare.grid import Plan, wanted_cells
from compressor.compare.measure import measure_cell
from compressor.compare.summary import Scores, columns_of
from compressor.device_memory import memory_errors
from compressor.errors import BudgetError, FamilyError, MemoryShortError, RunError
from compressor.heal.rows import source_name
from compressor.job import Job, model_files
from compressor.manifest import locked, versions, write_json
from compressor.report.tables import read_manifest
from compressor.stages.contract import text_digest
from compressor.storage import disk_errors
from compressor.text import CORPORA
from models.disk import hash_file
from models.errors import StorageError, TextError

Measure = Callable[[Bench, Cell, Path], Measured]
CANNOT_BE_HAD = (BudgetError, FamilyError, MemoryShortError)
"""What a method says that is not built for the family, cannot meet the share, or does not fit into this machine."""

UNREAD: dict[str, Any] = {"budget": True, "quantize": True, "saliency": True, "export": {"dense": True}}
"""Tables and keys of the recipe that no cell depends on."""


@dataclass(frozen=True)
class Comparison:
    """What a run of the command left."""

    bench: Bench
    plan: Plan
    """All that was ever asked for in this folder: what the tables show."""
    finished: dict[Cell, Measured]
    """Every finished cell of the folder, those of earlier and wider plans too."""
    failed: dict[Cell, str]
    left_out: dict[Cell, str]

    @property
    def scores(self) -> Scores:
        """The finished cells, ready for tables."""
        return Scores(columns_of(self.bench.held_out), self.finished)


def run_comparison(job: Job, plan: Plan, documents: int, measure: Measure = measure_cell) -> Comparison:
    """Measure every cell of `plan` that is not finished. Raises BedsideError where no cell can be measured at all."""
    with locked(job.out), disk_errors(job.out), torch.inference_mode():
        everything = _claim(job, plan, documents)
        bench = open_bench(job, documents)
        finished = {measured.cell: measured for measured in read_all(job.out / "cells")}
        comparison = Comparison(bench, everything, finished, {}, {})
        while True:
            without = {**comparison.failed, **comparison.left_out}
            wanted = wanted_cells(plan, finished, without, _rise(comparison))
            missing = [cell for cell in wanted if cell not in finished and cell not in without]
            if not missing:
                return comparison
            _run_cells(comparison, missing, measure)


def _rise(comparison: Comparison) -> Callable[[Cell], float]:
    return lambda cell: comparison.scores.rise(cell, next(iter(comparison.scores.columns)))


def _run_cells(comparison: Comparison, cells: list[Cell], measure: Measure) -> None:
    job = comparison.bench.job
    advance = job.reporter.step("cells", len(cells))
    for number, cell in enumerate(cells, start=1):
        measured = _try_cell(comparison, cell, measure)
        if measured is not None:
            comparison.finished[cell] = measured
            job.reporter.say(f"{number}/{len(cells)} {cell.name}: {measured.wall_s:.0f} s")
        advance()


def _try_cell(comparison: Comparison, cell: Cell, measure: Measure) -> Measured | None:
    job = comparison.bench.job
    try:
        with memory_errors(cell.name):
            measured = measure(comparison.bench, cell, job.out / "work" / cell.name)
    except (StorageError, TextError):
        # No other cell would do better: they share the disk, and the rows that they are healed on.
        raise
    except CANNOT_BE_HAD as error:
        if cell == dense_cell():
            raise
        _give_up(comparison, cell, "left_out", str(error))
        return None
    except Exception as error:
        if cell == dense_cell():
            raise
        _give_up(comparison, cell, "failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return None
    write_measured(job.out / "cells", measured)
    return measured


def _give_up(comparison: Comparison, cell: Cell, kind: Missing, message: str) -> None:
    """Record why; said once where the same holds for other shares and seeds of the criterion."""
    job = comparison.bench.job
    known = comparison.failed if kind == "failed" else comparison.left_out
    if not any(other.criterion == cell.criterion and known[other] == message for other in known):
        job.reporter.say(f"{cell.method.label}: {kind.replace('_', ' ')} ({message})")
    known[cell] = message
    write_missing(job.out / "cells", cell, kind, message)


def _claim(job: Job, plan: Plan, documents: int) -> Plan:
    """A folder belongs to one model, one recipe, one set of documents and texts. Raises RunError.

    Returns the plan with those of earlier runs.
    """
    wanted = fingerprint(job, plan, documents)
    content: dict[str, Any] = {"model": {"name": job.name}, "versions": versions()}
    if (job.out / "manifest.json").is_file():
        manifest = read_manifest(job.out)
        if "comparison" not in manifest:
            raise RunError(f"{job.out} holds a run of bedside compress; choose another --out")
        earlier = manifest["comparison"]
        faults = differing(earlier, wanted)
        if faults:
            raise RunError(f"{job.out} holds a comparison with another {', '.join(faults)}; choose another --out")
        wanted = {**wanted, "text": {**earlier["text"], **wanted["text"]}}
        plan = plan.joined(_read_plan(manifest["plan"]))
    write_json(job.out / "manifest.json", {**content, "comparison": wanted, "plan": asdict(plan)})
    return plan


def fingerprint(job: Job, plan: Plan, documents: int) -> dict[str, Any]:
    """All that decides what a cell of some name gives: code, model, device, recipe, documents, and each text by its digest."""
    recipe = job.recipe
    return {
        "format": FORMAT,
        "model": {path.name: hash_file(path) for path in model_files(job.checkpoint)},
        "device": job.group.device.type,
        "recipe": recipe.model_dump(mode="json", exclude=UNREAD),
        "documents": documents,
        "text": {f"{text} {part}": text_digest(job, text, part) for text, part in _texts(job, plan)},
    }


def _texts(job: Job, plan: Plan) -> list[tuple[str, Any]]:
    """Every text that any cell of the plan reads: to calibrate on, to heal on, grounded rows, and to be measured on."""
    recipe = job.recipe
    train = [*recipe.calibrate.text, *(text for text in recipe.evaluate.text if text in {*CORPORA, "starter"})]
    heals = [heal_table(recipe, data) for data in plan.heals]
    train += [source_name(heal) for heal in heals]
    if recipe.calibrate.grounded_share or any(heal.grounded_share for heal in heals):
        train.append("starter")
    return [*((text, "train") for text in dict.fromkeys(train)), *((text, "valid") for text in recipe.evaluate.text)]


def _read_plan(content: Mapping[str, Any]) -> Plan:
    return Plan(tuple(content["shares"]), tuple(content["seeds"]), tuple(content["heals"]), content["sweep"])


def differing(earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are not the same; of the texts only those count that both have read."""
    names = {name for name in wanted if name != "text" and earlier.get(name) != wanted[name]}
    known = earlier.get("text", {})
    texts = {f"text ({name})" for name, digest in wanted["text"].items() if known.get(name, digest) != digest}
    return sorted(names | texts)

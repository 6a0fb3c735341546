"""Running a comparison: finished cells are kept, a failing cell is recorded and stops no other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from compressor.compare.bench import Bench, open_bench
from compressor.compare.cell import Cell, Measured, dense_cell, read_measured, write_failure, write_measured
from compressor.compare.grid import Plan, wanted_cells
from compressor.compare.measure import measure_cell
from compressor.compare.summary import Scores, columns_of
from compressor.errors import RunError
from compressor.job import Job
from compressor.manifest import locked, versions, write_json
from compressor.report.tables import read_manifest
from compressor.stages.contract import text_digest
from compressor.storage import disk_errors
from models.disk import hash_file
from models.errors import StorageError

Measure = Callable[[Bench, Cell, Path], Measured]


@dataclass(frozen=True)
class Comparison:
    """What a run of the command left."""

    bench: Bench
    finished: dict[Cell, Measured]
    failed: dict[Cell, str]

    @property
    def scores(self) -> Scores:
        """The finished cells, ready for tables."""
        return Scores(columns_of(self.bench.held_out), self.finished)


def run_comparison(job: Job, plan: Plan, documents: int, measure: Measure = measure_cell) -> Comparison:
    """Measure every cell that is not finished. Raises BedsideError where no cell can be measured at all."""
    with locked(job.out), disk_errors(job.out), torch.inference_mode():
        _claim(job, documents)
        bench = open_bench(job, documents)
        comparison = Comparison(bench, {}, {})
        while True:
            wanted = wanted_cells(plan, comparison.finished, comparison.failed, _rise(comparison))
            missing = [cell for cell in wanted if cell not in comparison.finished and cell not in comparison.failed]
            if not missing:
                return comparison
            _run_cells(comparison, missing, measure)


def _rise(comparison: Comparison) -> Callable[[Cell], float]:
    return lambda cell: comparison.scores.rise(cell, next(iter(comparison.scores.columns)))


def _run_cells(comparison: Comparison, cells: list[Cell], measure: Measure) -> None:
    job = comparison.bench.job
    folder = job.out / "cells"
    advance = job.reporter.step("cells", len(cells))
    for number, cell in enumerate(cells, start=1):
        measured = read_measured(folder, cell)
        if measured is None:
            measured = _try_cell(comparison, cell, measure)
            if measured is not None:
                job.reporter.say(f"{number}/{len(cells)} {cell.name}: {measured.wall_s:.0f} s")
        if measured is not None:
            comparison.finished[cell] = measured
        advance()


def _try_cell(comparison: Comparison, cell: Cell, measure: Measure) -> Measured | None:
    job = comparison.bench.job
    folder = job.out / "cells"
    try:
        measured = measure(comparison.bench, cell, job.out / "work" / cell.name)
    except StorageError:
        raise
    except Exception as error:
        if cell == dense_cell():
            raise
        message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        comparison.failed[cell] = message
        job.reporter.say(f"{cell.name}: failed ({message})")
        write_failure(folder, cell, message)
        return None
    write_measured(folder, measured)
    return measured


def _claim(job: Job, documents: int) -> None:
    """A folder belongs to one model, one recipe and one set of documents. Raises RunError."""
    recipe = job.recipe
    wanted: dict[str, Any] = {
        "comparison": {
            "model": {path.name: hash_file(path) for path in job.checkpoint.weight_files()},
            "recipe": recipe.model_dump(mode="json", exclude={"budget", "quantize", "export", "saliency"}),
            "documents": documents,
            "text": {
                **{f"{text} train": text_digest(job, text, "train") for text in recipe.calibrate.text},
                **{f"{text} valid": text_digest(job, text, "valid") for text in recipe.evaluate.text},
            },
        },
        "model": {"name": job.name},
        "versions": versions(),
    }
    if (job.out / "manifest.json").is_file():
        faults = differing(read_manifest(job.out).get("comparison", {}), wanted["comparison"])
        if faults:
            raise RunError(f"{job.out} holds a comparison with another {', '.join(faults)}; choose another --out")
    write_json(job.out / "manifest.json", wanted)


def differing(earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are not the same."""
    return sorted(name for name in wanted if earlier.get(name) != wanted[name])

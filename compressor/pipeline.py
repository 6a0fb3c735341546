"""Running a job: finished stages are skipped, changed ones and all after them run again, one process per run folder."""

import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from compressor.device_memory import memory_errors
from compressor.distributed import device_name
from compressor.errors import RunError
from compressor.job import Job, model_files
from compressor.manifest import (
    FileRecord,
    StageRecord,
    is_intact,
    locked,
    peak_memory_bytes,
    read_record,
    record_file,
    restart_peak_memory,
    stage_key,
    versions,
    write_json,
    write_record,
)
from compressor.report.run import write_report
from compressor.report.tables import read_manifest
from compressor.stages.contract import Stage
from compressor.stages.mask import most_neurons
from compressor.stages.plan import plan
from compressor.storage import disk_errors, write_text
from models.disk import hash_file

RECORD = "manifest.json"
KEY = "key"
NOTHING_LEFT = ""
"""Announced in the place of a stage's name: the processes beside the leader may go."""


def run_job(job: Job) -> dict[str, Any]:
    """Run what is not finished and write the report; returns the run's manifest. Raises BedsideError of any kind."""
    with locked(job.out), disk_errors(job.out), torch.inference_mode():
        _remove_partials(job.out)
        manifest = _describe(job)
        _refuse_another_run(job, manifest)
        write_json(job.out / RECORD, manifest)
        most_neurons(job)
        stages = plan(job)
        shared = [stage.name for stage in stages if stage.assist is not None]
        inputs = {stage.name: dict(stage.inputs(job)) for stage in stages}
        earlier = [FileRecord("model", digest, 0, 0) for digest in manifest["model"]["files"].values()]
        for stage in stages:
            record = _run_stage(job, stage, inputs[stage.name], earlier)
            earlier += record.files
            manifest["stages"][stage.name] = asdict(record)
            write_json(job.out / RECORD, manifest)
            if stage.name == shared[-1]:
                job.group.announce(NOTHING_LEFT)
        write_report(job.out, manifest)
    return manifest


def assist_job(job: Job) -> None:
    """What the processes beside the leader do: their part of the stages that are shared, then no more. Writes nothing."""
    with torch.inference_mode():
        assists = {stage.name: stage.assist for stage in plan(job)}
        while (name := job.group.announce("")) != NOTHING_LEFT:
            assist = assists[name]
            assert assist is not None
            with memory_errors(name):
                assist(job)


def _remove_partials(out: Path) -> None:
    """What a process that was killed had been writing: a model file's would lie there with all its gigabytes."""
    for folder in (out / "stages", out / "gguf"):
        for path in folder.rglob(".*.partial"):
            if path.is_file():
                path.unlink()


def _refuse_another_run(job: Job, manifest: dict[str, Any]) -> None:
    """A folder belongs to one model and one recipe name: anything else would replace a result that took long."""
    try:
        earlier = read_manifest(job.out)
    except RunError:
        return  # nothing there, or nothing that could be lost
    if "comparison" in earlier:
        raise RunError(f"{job.out} holds a comparison of bedside compare; choose another --out")
    was = (earlier["model"]["name"], earlier["recipe"]["name"])
    wanted = (manifest["model"]["name"], manifest["recipe"]["name"])
    if was != wanted:
        raise RunError(
            f"{job.out} holds the run of {was[0]} by recipe {was[1]}; choose another --out for {wanted[0]} by {wanted[1]}"
        )


def _run_stage(job: Job, stage: Stage, inputs: dict[str, Any], earlier: list[FileRecord]) -> StageRecord:
    folder = job.stage_folder(stage.name)
    key = stage_key(stage.name, inputs, earlier)
    finished = read_record(folder / RECORD)
    if finished is not None and finished.key == key and all(is_intact(job.out, record) for record in finished.files):
        job.reporter.say(f"{stage.name}: finished before, kept")
        return finished
    _prepare(job.out, folder, key, finished)
    if stage.assist is not None:
        job.group.announce(stage.name)
    restart_peak_memory()
    started_s = time.monotonic()
    with memory_errors(stage.name):
        outcome = stage.run(job, folder)
    record = StageRecord(
        stage=stage.name,
        key=key,
        inputs=inputs,
        files=tuple(record_file(job.out, path) for path in outcome.files),
        facts=outcome.facts,
        wall_s=round(time.monotonic() - started_s, 3),
        peak_memory_bytes=peak_memory_bytes(),
        versions=versions(),
    )
    write_record(folder / RECORD, record)
    return record


def _prepare(out: Path, folder: Path, key: str, stale: StageRecord | None) -> None:
    """Keep an interrupted stage's work if it was for the same key; else remove all that it made, and the report on it."""
    shutil.rmtree(out / "report", ignore_errors=True)
    if stale is not None:
        for record in stale.files:
            (out / record.path).unlink(missing_ok=True)
    started = folder / KEY
    if stale is not None or not started.is_file() or started.read_text("utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        write_text(started, key)


def _describe(job: Job) -> dict[str, Any]:
    files = model_files(job.checkpoint)
    return {
        "model": {"name": job.name, "files": {path.name: hash_file(path) for path in files}},
        "recipe": {"name": job.recipe_name, "content": job.recipe.model_dump(mode="json")},
        "seed": job.recipe.calibrate.seed,
        "device": device_name(job.group.device),
        "versions": versions(),
        "shape": asdict(job.shape),
        "stages": {},
    }

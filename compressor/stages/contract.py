"""What a stage is, what the stages are called, and what they share."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.job import Job
from compressor.text import Split, read_source, resolve_file
from models.disk import hash_file
from models.errors import TextError

CALIBRATE, SALIENCY, MASK, PRUNE = "01-calibrate", "02-saliency", "03-mask", "04-prune"
RECONSTRUCT, HEAL = "05-reconstruct", "06-heal"
EXPORT, QUANTIZE, EVALUATE = "07-export", "08-quantize", "09-evaluate"


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
    assist: Callable[[Job], None] | None = None
    """What the other processes of a group do while the leader runs the stage; they write nothing."""


def text_digest(job: Job, source: str, split: Split) -> str:
    """Hash of the text behind a source. Raises TextError where it is missing."""
    path = resolve_file(source, job.data, split)
    if path is None:
        documents = read_source(source, job.data, split)
        return hashlib.sha256("\0".join(document.text for document in documents).encode()).hexdigest()
    if not path.is_file():
        raise TextError(f"text {path} is missing; give starter, a corpus with --data DIR, or a JSONL file")
    return hash_file(path)


def reconstructed_stages(job: Job) -> tuple[str, ...]:
    """Stages before healing whose folders hold tensors to lay over the checkpoint, in order."""
    if not job.recipe.prunes:
        return ()
    return (PRUNE,) if job.recipe.reconstruct is None else (PRUNE, RECONSTRUCT)


def replacing_stages(job: Job) -> tuple[str, ...]:
    """All stages whose folders hold tensors to lay over the checkpoint, in order."""
    return (*reconstructed_stages(job), HEAL) if job.recipe.heals else reconstructed_stages(job)


def layer_key(index: int) -> str:
    """The name of one layer's tensor in a stage's file."""
    return f"layer.{index:03d}"


def finished_files(job: Job) -> dict[str, Path]:
    """What a run leaves to be measured: label to GGUF file, in the order of the report."""
    compare = job.recipe.quantize.compare
    files = {"dense F16": job.dense_path} if job.wants_dense else {}
    if "dense" in compare:
        files["dense Q4_0"] = job.dense_path.with_name("dense-4bit.gguf")
    files |= {"pruned F16": job.gguf_path("f16"), "pruned Q4_0": job.gguf_path("q4_0")}
    if "no-imatrix" in compare:
        files["Q4_0, no matrix"] = job.gguf_path("no-imatrix")
    if "q4_k_m" in compare:
        files["pruned Q4_K_M"] = job.gguf_path("q4_k_m")
    if "q8_0" in compare:
        files["pruned Q8_0"] = job.gguf_path("q8_0")
    return files

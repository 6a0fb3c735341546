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


def compared_files(job: Job) -> dict[str, Path]:
    """The files that `quantize.compare` asks for, by its names."""
    paths = {
        "dense": job.dense_path.with_name("dense-4bit.gguf"),
        **{name: job.gguf_path(name) for name in ("no-imatrix", "q4_k_m", "q8_0")},
    }
    return {name: path for name, path in paths.items() if name in job.recipe.quantize.compare}


def finished_files(job: Job) -> dict[str, Path]:
    """What a run leaves to be measured: label to GGUF file, in the order of the report."""
    done = "pruned " if job.recipe.prunes else "healed " if job.recipe.heals else ""
    compared = compared_files(job)
    files = {
        "dense F16": job.dense_path if job.wants_dense else None,
        "dense Q4_0": compared.get("dense"),
        f"{done}F16": job.gguf_path("f16"),
        f"{done}Q4_0": job.gguf_path("q4_0"),
        "Q4_0, no matrix": compared.get("no-imatrix"),
        f"{done}Q4_K_M": compared.get("q4_k_m"),
        f"{done}Q8_0": compared.get("q8_0"),
    }
    return {label: path for label, path in files.items() if path is not None}

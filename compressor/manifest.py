"""Manifests: what made an artifact, so that a finished stage is skipped and a changed one is made again.

A stage's key is the hash of its settings, the model's files, the text it reads, and the files that earlier stages made.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import platform
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from compressor.errors import RunError
from compressor.storage import disk_errors, write_text
from models.disk import hash_file

FORMAT = 2
"""Raised when a stage's result changes for the same inputs."""
_VERSIONED = ("bedside", "gguf", "llama-cpp-python", "numpy", "safetensors", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class FileRecord:
    """One file as a manifest knows it; `path` is relative to the run folder, time in nanoseconds."""

    path: str
    sha256: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class StageRecord:
    """What a finished stage's manifest.json holds."""

    stage: str
    key: str
    inputs: dict[str, Any]
    files: tuple[FileRecord, ...]
    facts: dict[str, Any]
    wall_s: float
    peak_memory_bytes: int
    versions: dict[str, str] = field(default_factory=dict)


def stage_key(stage: str, inputs: Mapping[str, Any], earlier: Sequence[FileRecord]) -> str:
    """SHA-256 over everything that decides the stage's result."""
    parts = {
        "format": FORMAT,
        "stage": stage,
        "inputs": inputs,
        "earlier": [(record.path, record.sha256) for record in earlier],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that do the work."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _VERSIONED}}


def record_file(out: Path, path: Path) -> FileRecord:
    """Hash a file that a stage has finished."""
    status = path.stat()
    return FileRecord(path.relative_to(out).as_posix(), hash_file(path), status.st_size, status.st_mtime_ns)


def is_intact(out: Path, record: FileRecord) -> bool:
    """Whether the file is still what was recorded; only a file touched since is hashed again."""
    path = out / record.path
    if not path.is_file() or path.stat().st_size != record.size_bytes:
        return False
    return path.stat().st_mtime_ns == record.modified_ns or hash_file(path) == record.sha256


def read_record(path: Path) -> StageRecord | None:
    """The stage's manifest, or None where it is missing or damaged: the stage then runs again."""
    try:
        content = json.loads(path.read_text("utf-8"))
        content["files"] = tuple(FileRecord(**item) for item in content["files"])
        return StageRecord(**content)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(path: Path, record: StageRecord) -> None:
    """Write the stage's manifest, which marks it as finished. Raises StorageError."""
    write_json(path, asdict(record))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write sorted, indented JSON atomically. Raises StorageError."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the run folder for one process. Raises RunError where another has it, or it holds something else."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        strangers = sorted(path.name for path in out.iterdir() if path.name != ".lock")
        if strangers and not (out / "manifest.json").is_file():
            raise RunError(f"{out} holds other files ({strangers[0]}); give --out an empty or new folder")
        handle = (out / ".lock").open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"another run is using {out}; wait for it to end or give another --out") from error
        yield


def restart_peak_memory() -> None:
    """Let the kernel count the peak afresh, where it can; elsewhere the peak is the process's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Largest resident size since `restart_peak_memory`."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024

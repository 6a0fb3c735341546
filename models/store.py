"""The models on this machine: a folder each under the data folder, its manifest holding origin and checksums."""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import platformdirs

from models.builtin import REFERENCE_ID, reference_checksums, reference_folder
from models.disk import Progress, hash_file, no_progress, storage_errors, write_atomically
from models.errors import ModelFileError, ModelNotFoundError, StorageError

MANIFEST = "manifest.json"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Kind = Literal["gguf", "checkpoint"]


@dataclass(frozen=True)
class StoredFile:
    """One file of a stored model."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is stored under an id. `origin` is `hub:<repository>` or `file:<name>`; `revision` a Hub commit or empty."""

    id: str
    kind: Kind
    origin: str
    revision: str
    added: str
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Fault:
    """A stored file that is not what the manifest says, and how it differs."""

    file: str
    problem: str


def data_folder() -> Path:
    """Where Bedside keeps its data: `BEDSIDE_HOME`, else the XDG data folder of this user."""
    home = os.environ.get("BEDSIDE_HOME")
    return Path(home).expanduser() if home else platformdirs.user_data_path("bedside")


def now_utc() -> str:
    """The time as a manifest records it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def check_file_name(name: str) -> str:
    """`name` itself, if it may be a file of a stored model.

    Raises:
        ModelFileError: it could leave the folder, or is one of the store's own names.
    """
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST or name.endswith(".partial"):
        raise ModelFileError(f"{name!r} cannot be the name of a stored file: letters, digits, '.', '_' and '-' only")
    return name


class Store:
    """The folder of all models, `<data folder>/models` unless told otherwise."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or data_folder() / "models"

    def folder(self, model_id: str) -> Path:
        """The folder of `model_id`, whether or not it exists.

        Raises:
            ModelNotFoundError: not a valid id, so it could not have been stored.
        """
        if not _ID.fullmatch(model_id):
            raise ModelNotFoundError(
                f"{model_id!r} is not a model id: up to 64 lower-case letters, digits, '.', '_' and '-'"
            )
        folder = (self.root / model_id).resolve()
        if folder.parent != self.root.resolve():
            raise ModelNotFoundError(f"{model_id!r} leads out of {self.root}: remove that link")
        return folder

    def find(self, model_id: str) -> Manifest | None:
        """The manifest of a model that is here complete, or None.

        Raises:
            ModelFileError: its manifest cannot be understood.
            StorageError: it may not be read.
        """
        if not _ID.fullmatch(model_id):
            return None
        path = self.folder(model_id) / MANIFEST
        with storage_errors(path):
            if not path.is_file():
                return None
            content = path.read_bytes()
        try:
            return _parse(json.loads(content), model_id)
        except (ValueError, KeyError, TypeError, ModelFileError) as error:
            raise ModelFileError(
                f"{path} cannot be used ({error}): `bedside models remove {model_id}`, then get it again"
            ) from None

    def entries(self) -> tuple[Manifest, ...]:
        """Every complete model, by id."""
        found = (self._find_usable(model_id) for model_id in self._ids())
        return tuple(manifest for manifest in found if manifest is not None)

    def unfinished(self) -> tuple[str, ...]:
        """Ids whose folder holds no usable manifest: half-fetched or damaged, to be fetched again or removed."""
        return tuple(model_id for model_id in self._ids() if self._find_usable(model_id) is None)

    def _ids(self) -> list[str]:
        folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return [folder.name for folder in folders if folder.is_dir() and _ID.fullmatch(folder.name)]

    def _find_usable(self, model_id: str) -> Manifest | None:
        try:
            return self.find(model_id)
        except (ModelFileError, ModelNotFoundError, StorageError):
            return None

    def save(self, manifest: Manifest) -> None:
        """Write the manifest: from here on the model is in the store."""
        text = json.dumps(asdict(manifest), indent=2) + "\n"
        write_atomically(self.folder(manifest.id) / MANIFEST, text.encode())

    def remove(self, model_id: str) -> int:
        """Delete a model, complete or half-fetched, and return the bytes freed.

        Raises:
            ModelNotFoundError: nothing of that id is stored.
            StorageError: it is built in, or the disk refuses.
        """
        if model_id == REFERENCE_ID:
            raise StorageError("the reference model is part of Bedside and cannot be removed")
        folder = self.folder(model_id)
        if not folder.is_dir():
            raise ModelNotFoundError(f"nothing is stored as {model_id!r}: see `bedside models list`")
        with storage_errors(folder):
            size_bytes = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder)
        return size_bytes

    def verify(self, model_id: str, on_progress: Progress = no_progress) -> tuple[Fault, ...]:
        """Hash every file of a model, the built-in one included, and say which differ.

        Raises:
            ModelNotFoundError: nothing complete of that id is stored.
        """
        if model_id == REFERENCE_ID:
            folder, expected = reference_folder(), reference_checksums()
        else:
            manifest = self.find(model_id)
            if manifest is None:
                raise ModelNotFoundError(f"nothing complete is stored as {model_id!r}: see `bedside models list`")
            folder, expected = self.folder(model_id), {file.name: file.sha256 for file in manifest.files}
        faults = (_fault(folder / name, digest, on_progress) for name, digest in expected.items())
        return tuple(fault for fault in faults if fault is not None)


def _fault(path: Path, digest: str, on_progress: Progress) -> Fault | None:
    if not path.is_file():
        return Fault(path.name, "is missing")
    actual = hash_file(path, on_progress)
    return None if actual == digest else Fault(path.name, f"has sha256 {actual[:12]}…, expected {digest[:12]}…")


def _parse(data: dict[str, object], model_id: str) -> Manifest:
    """A manifest from JSON, believed only where it is well-formed."""
    kind, files = data["kind"], data["files"]
    if data["id"] != model_id or kind not in ("gguf", "checkpoint") or not isinstance(files, list) or not files:
        raise ValueError("not a manifest of this model")
    stored = tuple(StoredFile(check_file_name(file["name"]), int(file["size_bytes"]), file["sha256"]) for file in files)
    if not all(_SHA256.fullmatch(file.sha256) for file in stored):
        raise ValueError("a sha256 is not 64 hex digits")
    return Manifest(
        model_id,
        "gguf" if kind == "gguf" else "checkpoint",
        str(data["origin"]),
        str(data["revision"]),
        str(data["added"]),
        stored,
    )

"""Bringing models that are already on this machine into the store: a GGUF file, or a Hugging Face checkpoint folder."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from models.builtin import REFERENCE_ID
from models.catalogue import find_in_catalogue
from models.disk import (
    FreeSpace,
    Progress,
    copy_hashed,
    free_space,
    no_progress,
    only_writer,
    require_space,
    storage_errors,
    sync_folder,
)
from models.errors import ModelFileError, StorageError
from models.gguf_header import read_header
from models.store import Kind, Manifest, Store, StoredFile, check_file_name, now_utc

# What a checkpoint consists of. Pickles, duplicates in other formats and sub-folders are left behind.
_CHECKPOINT_FILE = re.compile(
    r"(model|pytorch_model)[A-Za-z0-9._-]*\.safetensors|model\.safetensors\.index\.json|config\.json"
    r"|generation_config\.json|tokenizer[a-z_]*\.(json|model)|special_tokens_map\.json|added_tokens\.json"
    r"|vocab\.json|merges\.txt|chat_template\.(jinja|json)|README\.md|LICENSE[A-Za-z0-9._-]*|NOTICE"
)


# Opens a GGUF file once, or raises ModelFileError.
Trial = Callable[[Path], None]


def first_load(path: Path) -> None:
    """Open a GGUF file that nobody has vouched for in a disposable process, which may crash instead of this one."""
    from models.runtime.trial import trial_load

    trial_load(path)


def is_checkpoint_file(name: str) -> bool:
    """Whether a file of a repository or folder belongs to the checkpoint that Bedside uses."""
    return _CHECKPOINT_FILE.fullmatch(name) is not None


def import_model(
    store: Store,
    source: Path,
    model_id: str | None = None,
    *,
    on_progress: Progress = no_progress,
    free: FreeSpace = free_space,
    trial: Trial = first_load,
) -> Manifest:
    """Copy a GGUF file or a checkpoint folder into the store, hashing what is copied; a GGUF file is opened once.

    Raises:
        ModelFileError: not a usable GGUF file or checkpoint; nothing is stored.
        StorageError: the id is taken, or the disk refuses.
    """
    if not (source.is_file() or source.is_dir()):
        raise ModelFileError(f"{source} does not exist as a file or folder: name a GGUF file or a checkpoint folder")
    kind: Kind = "checkpoint" if source.is_dir() else "gguf"
    model_id = model_id or re.sub(r"[^a-z0-9._-]+", "-", source.resolve().stem.lower()).strip("-._")[:64]
    folder = store.folder(model_id)
    _check_id_is_free(store, model_id, kind)
    files = _checkpoint_files(source) if kind == "checkpoint" else [source]
    if kind == "gguf":
        read_header(source)
        trial(source)
    require_space(folder, sum(file.stat().st_size for file in files), free)
    existed = folder.exists()
    try:
        with only_writer(folder):
            stored = tuple(_copy(file, folder, on_progress) for file in files)
            manifest = Manifest(model_id, kind, f"file:{source.name}", "", now_utc(), stored)
            store.save(manifest)
    except BaseException:
        if not existed and folder.is_dir():
            store.remove(model_id)
        raise
    return manifest


def _check_id_is_free(store: Store, model_id: str, kind: Kind) -> None:
    if model_id == REFERENCE_ID or (kind == "gguf" and find_in_catalogue(model_id)):
        raise StorageError(f"{model_id!r} is the catalogue's name of a checkpoint: choose another with --id")
    if store.find(model_id) is not None:
        raise StorageError(f"{model_id!r} is already in the store: remove it first or choose another with --id")


def _copy(source: Path, folder: Path, on_progress: Progress) -> StoredFile:
    name = check_file_name(re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).lstrip("-._"))
    partial = folder / f"{name}.partial"
    digest = copy_hashed(source, partial, on_progress)
    with storage_errors(partial):
        size = partial.stat().st_size
        partial.replace(folder / name)
        sync_folder(folder)
    return StoredFile(name, size, digest)


def _checkpoint_files(folder: Path) -> list[Path]:
    """The files of a checkpoint folder, or ModelFileError where it is none or lacks a shard."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_checkpoint_file(file.name))
    names = {file.name for file in files}
    if "config.json" not in names:
        raise ModelFileError(f"{folder} is not a checkpoint: it has no config.json")
    if not any(name.endswith(".safetensors") for name in names):
        raise ModelFileError(f"{folder} has no .safetensors weights: pickled .bin files are not accepted, convert them")
    missing = _listed_shards(folder) - names
    if missing:
        raise ModelFileError(f"{folder} lacks {min(missing)}, which its index lists: copy the missing shards")
    return files


def _listed_shards(folder: Path) -> set[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    try:
        shards = json.loads(index.read_bytes())["weight_map"].values()
        return {str(shard) for shard in shards}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise ModelFileError(f"{index} is not a shard index: copy it again") from None

"""From what a person typed (a catalogue id, a stored id or a path) to the file or folder on this machine."""

import difflib
from pathlib import Path

from models.builtin import REFERENCE_ID, reference_checksums, reference_folder, reference_gguf
from models.catalogue import catalogue, find_in_catalogue
from models.disk import hash_file, storage_errors
from models.errors import ModelFileError, ModelNotFoundError
from models.store import Manifest, Store


def resolve_gguf(name_or_path: str | Path, store: Store | None = None) -> Path:
    """The GGUF file to run: `reference` is the packaged one, a stored id its file, anything else a path.

    Raises:
        ModelNotFoundError: no such model, or only its checkpoint is here; the message says what to run.
        ModelFileError: it names a file that is not there.
    """
    name, store = str(name_or_path), store or Store()
    if not name:
        raise ModelFileError("the model's name is empty: give a GGUF file or a model id")
    if name == REFERENCE_ID:
        return reference_gguf()
    manifest = store.find(name)
    if manifest is not None and manifest.kind == "gguf":
        return store.folder(name) / manifest.files[0].name
    path = Path(name_or_path)
    if path.is_file():
        return path
    if manifest is not None or (path / "config.json").is_file():
        model = find_in_catalogue(name)
        recipe = model.recipes[0] if model is not None and model.recipes else "RECIPE"
        command = f"bedside compress {name} --recipe {recipe} --out RUN"
        raise ModelNotFoundError(f"{name} is a checkpoint, which cannot be run: `{command}` makes a GGUF file of it")
    if path.is_dir():
        raise ModelFileError(f"{name} is a folder without a model: give a GGUF file")
    if path.exists():
        raise ModelFileError(f"{name} is not a regular file: give a GGUF file")
    if path.suffix == ".gguf":
        raise ModelFileError(f"{name} does not exist: check the path")
    raise _not_there(name, store)


def gguf_sha256(name_or_path: str | Path, store: Store | None = None) -> str:
    """sha256, as 64 hex digits, of the file that `resolve_gguf` finds: as recorded where it came with the program or lies
    in the store, which `bedside models verify` holds against the file; of another it is read off the file itself.

    Raises:
        ModelNotFoundError, ModelFileError: as `resolve_gguf`.
    """
    name, store = str(name_or_path), store or Store()
    path = resolve_gguf(name, store)
    if name == REFERENCE_ID:
        return reference_checksums()[path.name]
    manifest = store.find(name)
    if manifest is not None and manifest.kind == "gguf":
        return manifest.files[0].sha256
    with storage_errors(path):
        return hash_file(path)


def resolve_checkpoint(name_or_path: str | Path, store: Store | None = None) -> Path:
    """The checkpoint folder: `reference` is the packaged one, an id or Hub repository its stored folder, else a path.

    Raises:
        ModelNotFoundError: no such model here; the message says what to run.
        ModelFileError: it names a folder that is no checkpoint, or a path that is not there.
    """
    name, store = str(name_or_path), store or Store()
    if name == REFERENCE_ID:
        return reference_folder()
    manifest = store.find(name) or _from_repository(name, store)
    if manifest is not None and manifest.kind == "checkpoint":
        return store.folder(manifest.id)
    path = Path(name_or_path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelFileError(f"{path} is not a checkpoint: it has no config.json")
        return path
    if manifest is not None or path.is_file():
        raise ModelNotFoundError(f"{name} is a single file, not a checkpoint folder with config.json and safetensors")
    raise _not_there(name, store)


def _not_there(name: str, store: Store) -> ModelFileError | ModelNotFoundError:
    """A Hub repository's name looks like a relative path; what starts with a dot or a root can only be a path."""
    if name.startswith((".", "~")) or Path(name).is_absolute():
        return ModelFileError(f"{name} does not exist: check the path")
    return not_found(name, store)


def not_found(name: str, store: Store) -> ModelNotFoundError:
    """The error for a name that is not on this machine, with what the person may have meant or should run."""
    model = find_in_catalogue(name)
    if model is not None:
        return ModelNotFoundError(
            f"{model.name} is not on this machine: `bedside models pull {name}` fetches its checkpoint"
        )
    known = [model.id for model in catalogue()] + [manifest.id for manifest in store.entries()]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ModelNotFoundError(f"no model {name!r}: {hint}`bedside models list` shows all")


def _from_repository(name: str, store: Store) -> Manifest | None:
    """The stored checkpoint that was fetched from the Hub repository `name`."""
    if "/" not in name:
        return None
    stored = (manifest for manifest in store.entries() if manifest.origin == f"hub:{name}")
    return next((manifest for manifest in stored if manifest.kind == "checkpoint"), None)

"""Fetching a model from the Hub into the store: pinned to one commit, resumed, checked, recorded.

The commit that the first pull resolves is kept, first beside the unfinished files, then in the manifest. Later pulls
ask for that very commit, repair what is missing or damaged, and refuse checksums other than the recorded ones.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from models.builtin import REFERENCE_ID
from models.catalogue import find_in_catalogue
from models.disk import FreeSpace, Progress, free_space, no_progress, only_writer, require_space, write_atomically
from models.download import fetch_file, partial_path, stored_copy
from models.errors import DownloadError, ModelFileError, StorageError
from models.gguf_header import read_header
from models.hub import COMMIT, Hub, Listing, RemoteFile
from models.imports import Trial, first_load, is_checkpoint_file
from models.resolve import not_found
from models.store import Kind, Manifest, Store, StoredFile, check_file_name, now_utc

_UNFINISHED = "pull.json"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class PullRequest:
    """What to fetch, under which id. `file` names one GGUF file, empty means the checkpoint; `revision` is a commit."""

    model_id: str
    repository: str
    revision: str = ""
    file: str = ""

    @property
    def origin(self) -> str:
        """As the manifest records it."""
        return f"hub:{self.repository}"


def pull_request(name: str, *, file: str = "", revision: str = "", model_id: str = "") -> PullRequest:
    """The request for a catalogue id or a Hub repository `OWNER/NAME`.

    Raises:
        ModelNotFoundError: neither.
        DownloadError: the revision is not a commit, or the model is built in.
    """
    if revision and not COMMIT.fullmatch(revision):
        raise DownloadError(f"{revision!r} is not a commit of 40 hex digits: copy it from the repository's history")
    if name == REFERENCE_ID:
        raise DownloadError("the reference model is built in: there is nothing to fetch")
    model = find_in_catalogue(name)
    if model is not None:
        if revision and model.revision not in ("", revision):
            raise DownloadError(f"the catalogue holds {name} to commit {model.revision}, not {revision}")
        chosen = PullRequest(model_id or model.id, model.repository, revision or model.revision, file)
    elif _REPOSITORY.fullmatch(name):
        chosen = PullRequest(model_id or name.replace("/", "--").lower()[:64], name, revision, file)
    else:
        raise not_found(name, Store())
    if file and not model_id:
        stem = check_file_name(file).removesuffix(".gguf").lower()[:64]
        return PullRequest(stem, chosen.repository, chosen.revision, file)
    return chosen


@dataclass(frozen=True)
class PullPlan:
    """What a pull will leave on the disk: the request, the repository at its commit, and the files chosen from it."""

    request: PullRequest
    listing: Listing
    files: tuple[RemoteFile, ...]

    @property
    def total_bytes(self) -> int:
        """Bytes of all files, fetched before or not."""
        return sum(file.size_bytes for file in self.files)


def stored_already(store: Store, request: PullRequest) -> Manifest:
    """The model as it is on this machine, for a pull that may not use the network.

    Raises:
        DownloadError: it is not here.
    """
    existing = store.find(request.model_id)
    if existing is None or existing.origin != request.origin:
        raise DownloadError(f"{request.model_id} is not on this machine: fetch it with a network, or import a copy")
    return existing


def plan_pull(store: Store, request: PullRequest, hub: Hub) -> PullPlan:
    """Ask the Hub what a pull of `request` means, and hold the answer to what was recorded before.

    Raises:
        DownloadError: unreachable, gated, nothing usable, or not what was recorded before.
        StorageError: the id is taken by a model from elsewhere.
    """
    existing = store.find(request.model_id)
    if existing is not None and existing.origin != request.origin:
        raise StorageError(f"{request.model_id!r} is already in the store, from {existing.origin}: choose another --id")
    pinned = _pinned_revision(request, existing, store.folder(request.model_id))
    listing = hub.listing(request.repository, pinned or "main")
    if pinned and listing.revision != pinned:
        raise DownloadError(
            f"the Hub answered with commit {listing.revision}, and {request.model_id} is held to {pinned}"
        )
    files = _select(listing, request)
    if existing is not None:
        _check_unchanged(existing, files)
    return PullPlan(request, listing, tuple(files))


def pull(
    store: Store,
    plan: PullPlan,
    hub: Hub,
    *,
    on_progress: Progress = no_progress,
    free: FreeSpace = free_space,
    trial: Trial = first_load,
) -> Manifest:
    """Fetch or repair what `plan` names and record it.

    Raises:
        DownloadError: the connection is lost (what came is kept for the next run), or a checksum is wrong.
        StorageError: no room, no permission, or another process is at it.
        ModelFileError: the GGUF file that arrived cannot be used.
    """
    request = plan.request
    folder = store.folder(request.model_id)
    with only_writer(folder):
        _note_unfinished(folder, request, plan.listing.revision)
        stored = _fetch_all(hub, plan, folder, on_progress, free)
        kind: Kind = "gguf" if request.file else "checkpoint"
        if kind == "gguf":
            _check_gguf(folder / request.file, trial)
        manifest = Manifest(request.model_id, kind, request.origin, plan.listing.revision, now_utc(), stored)
        store.save(manifest)
        (folder / _UNFINISHED).unlink(missing_ok=True)
    return manifest


def _pinned_revision(request: PullRequest, existing: Manifest | None, folder: Path) -> str:
    """The commit that earlier pulls or the request hold this model to, or empty."""
    recorded = existing.revision if existing is not None else _unfinished_revision(folder, request)
    if existing is not None and request.revision not in ("", recorded):
        raise DownloadError(
            f"{request.model_id} is here at commit {recorded}: `bedside models remove {request.model_id}` before "
            f"fetching {request.revision}"
        )
    return request.revision or recorded


def _unfinished_revision(folder: Path, request: PullRequest) -> str:
    try:
        noted = json.loads((folder / _UNFINISHED).read_bytes())
        same = noted["origin"] == request.origin and COMMIT.fullmatch(noted["revision"])
        return str(noted["revision"]) if same else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note_unfinished(folder: Path, request: PullRequest, revision: str) -> None:
    if _unfinished_revision(folder, request) not in ("", revision):
        for partial in folder.glob("*.partial"):
            partial.unlink()
    note = {"origin": request.origin, "revision": revision}
    write_atomically(folder / _UNFINISHED, json.dumps(note).encode())


def _select(listing: Listing, request: PullRequest) -> list[RemoteFile]:
    """The files to fetch: the one asked for, or those that make up the checkpoint."""
    if request.file:
        chosen = [file for file in listing.files if file.name == request.file]
        if not chosen:
            raise DownloadError(f"{listing.repository} has no file {request.file!r}: {_gguf_choices(listing)}")
        return chosen
    chosen = [file for file in listing.files if is_checkpoint_file(file.name)]
    names = {file.name for file in chosen}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise DownloadError(f"{listing.repository} holds no safetensors checkpoint: {_gguf_choices(listing)}")
    return chosen


def _gguf_choices(listing: Listing) -> str:
    names = [file.name for file in listing.files if file.name.endswith(".gguf")]
    return f"choose one with --file: {', '.join(names[:8])}" if names else "it has no GGUF file either"


def _check_unchanged(existing: Manifest, files: list[RemoteFile]) -> None:
    recorded = {file.name: file for file in existing.files}
    for file in files:
        known = recorded.get(file.name)
        if known is None or known.size_bytes != file.size_bytes or (file.sha256 and known.sha256 != file.sha256):
            raise DownloadError(
                f"the Hub's {file.name} differs from the one recorded for {existing.id} at the same commit: not fetched"
            )


def _fetch_all(
    hub: Hub, plan: PullPlan, folder: Path, on_progress: Progress, free: FreeSpace
) -> tuple[StoredFile, ...]:
    found = {file.name: stored_copy(file, folder / check_file_name(file.name)) for file in plan.files}
    require_space(folder, sum(_bytes_to_come(file, folder) for file in plan.files if found[file.name] is None), free)
    stored = []
    for file in plan.files:
        copy = found[file.name]
        if copy is None:
            copy = fetch_file(hub, plan.listing, file, folder, on_progress=on_progress)
        else:
            on_progress(file.name, file.size_bytes)
        stored.append(copy)
    return tuple(stored)


def _bytes_to_come(file: RemoteFile, folder: Path) -> int:
    partial = partial_path(folder, file.name)
    return max(0, file.size_bytes - (partial.stat().st_size if partial.exists() else 0))


def _check_gguf(path: Path, trial: Trial) -> None:
    try:
        read_header(path)
        trial(path)
    except ModelFileError:
        path.unlink()
        raise

"""The model that a start would take: is it here, is it what was recorded, would it fit into memory now."""

from pathlib import Path

import psutil

from assistant.client.sockets import answers
from assistant.doctor.line import Line, fault, ok, warning
from assistant.doctor.machine import Machine
from assistant.engine.budget import check_embedding_memory, check_memory
from assistant.engine.loaded import EMBEDDING_SEQUENCES, MICRO_BATCH_TOKENS, EngineSettings
from assistant.errors import MemoryBudgetError
from models.builtin import REFERENCE_ID, reference_checksums
from models.disk import hash_file, show_bytes
from models.errors import BedsideError
from models.free_memory import free_memory_bytes
from models.gguf_header import read_header
from models.gguf_layout import GgufHeader
from models.resolve import resolve_gguf
from models.store import Store

_HASHED_BYTES = 256 << 20
"""A larger file takes longer to hash than a report may take."""


def check_model(machine: Machine) -> list[Line]:
    """The file, its checksum, and the memory that it would take."""
    name = "Model"
    try:
        path = resolve_gguf(machine.model)
        header = read_header(path)
    except BedsideError as error:
        return [fault(name, str(error), "see what is on this machine\nbedside models list")]
    return [_checksum(machine.model, path), _memory(machine, path, header)]


def _checksum(model: str, path: Path) -> Line:
    name, size = "Model", path.stat().st_size
    shown = f"{model}, {show_bytes(size)}"
    expected = _recorded(model, path)
    again = f"remove it and get it again\nbedside models remove {model}"
    if expected is None:
        return ok(name, f"{shown}: a file of yours, of which no checksum is recorded; its header is sound")
    digest, size_bytes = expected
    if size_bytes is not None and size != size_bytes:
        return fault(name, f"{shown}, and {show_bytes(size_bytes)} are recorded: it is damaged", again)
    if size > _HASHED_BYTES:
        return ok(name, f"{shown}, as recorded; not hashed now: bedside models verify {model}")
    if hash_file(path) != digest:
        told = "install Bedside again" if model == REFERENCE_ID else again
        return fault(name, f"{shown}: its sha256 is not the one recorded, it is damaged", told)
    return ok(name, f"{shown}, sha256 {digest[:12]} as recorded")


def _recorded(model: str, path: Path) -> tuple[str, int | None] | None:
    """sha256 and size of the file as they were recorded; None for one that was named by its path."""
    if model == REFERENCE_ID:
        return reference_checksums()[path.name], None
    manifest = Store().find(model)
    if manifest is None or manifest.kind != "gguf":
        return None
    return manifest.files[0].sha256, manifest.files[0].size_bytes


def _memory(machine: Machine, path: Path, header: GgufHeader) -> Line:
    """As a start with its defaults would reckon; a server that runs has taken its part already."""
    name, free_bytes = "Memory", free_memory_bytes()
    limited = " within this control group's limit" if free_bytes < psutil.virtual_memory().available * 0.9 else ""
    shown = f"{show_bytes(free_bytes)} free{limited}"
    try:
        _check_budget(path, header)
    except MemoryBudgetError as error:
        if any(answers(path) for path in machine.sockets()):
            return warning(name, f"{shown}: a second model would not fit beside the one that runs", "start no second")
        numbers, _, remedy = str(error).rpartition("; ")
        return fault(name, numbers, f"{remedy}\nbedside device plan")
    return ok(name, f"{shown}: {machine.model} fits")


def _check_budget(path: Path, header: GgufHeader) -> None:
    settings = EngineSettings()
    if header.pooling != "none":
        tokens = min(settings.context_tokens, header.n_ctx_train)
        check_embedding_memory(path, tokens, n_seq_max=min(EMBEDDING_SEQUENCES, tokens))
        return
    check_memory(
        path,
        min(settings.context_tokens, header.n_ctx_train * settings.sequences),
        n_ubatch=MICRO_BATCH_TOKENS,
        n_seq_max=settings.sequences + 1,
        kept_bytes=settings.cache_bytes,
    )

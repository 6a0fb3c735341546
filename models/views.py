"""What `bedside models` prints: tables and progress for people, plain objects for `--json`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.boards import boards
from models.builtin import REFERENCE_ID, reference_gguf
from models.catalogue import CatalogueModel, catalogue, find_in_catalogue
from models.disk import Progress, show_bytes
from models.errors import ModelFileError
from models.free_memory import free_memory_bytes
from models.gguf_header import GgufHeader, read_header
from models.memory import estimate_memory
from models.resolve import not_found, resolve_gguf
from models.store import Manifest, Store

Row = dict[str, Any]
LIST_CONTEXT = 4096


def print_json(value: Row) -> None:
    """One JSON document on standard output, not wrapped or coloured."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def list_rows(store: Store) -> list[Row]:
    """Every catalogue model, then stored models that the catalogue does not know."""
    stored = {manifest.id: manifest for manifest in store.entries()}
    rows = [_catalogue_row(model, _state(model.id, store, stored)) for model in catalogue()]
    rows += [_stored_row(manifest, store) for key, manifest in stored.items() if find_in_catalogue(key) is None]
    rows += [_blank_row(key, "unfinished") for key in store.unfinished() if find_in_catalogue(key) is None]
    return rows


def _state(model_id: str, store: Store, stored: dict[str, Manifest]) -> str:
    if model_id == REFERENCE_ID:
        return "built in"
    if model_id in stored:
        return "here"
    return "unfinished" if store.folder(model_id).is_dir() else ""


def _catalogue_row(model: CatalogueModel, state: str) -> Row:
    return {
        "id": model.id,
        "name": model.name,
        "parameters": model.parameters,
        "licence": model.licence,
        "gated": model.gated,
        "memory_bytes": estimate_memory(model, min(LIST_CONTEXT, model.context_tokens)).total_bytes,
        "recipes": list(model.recipes),
        "state": state,
    }


def _blank_row(model_id: str, state: str) -> Row:
    """A row of a model of which no more is known than that it is here."""
    unknown: Row = dict.fromkeys(("parameters", "licence", "gated", "memory_bytes"))
    return {"id": model_id, "name": model_id, **unknown, "recipes": [], "state": state}


def _stored_row(manifest: Manifest, store: Store) -> Row:
    row = _blank_row(manifest.id, "here")
    if manifest.kind == "gguf":
        try:
            header = read_header(store.folder(manifest.id) / manifest.files[0].name)
        except ModelFileError:
            return row | {"state": "damaged"}
        row |= {"name": _printable(header.name), "parameters": header.n_params}
        row["memory_bytes"] = estimate_memory(header, min(LIST_CONTEXT, header.n_ctx_train)).total_bytes
    return row


def _printable(text: str) -> str:
    """A name from a file, without what could steer a terminal."""
    return "".join(character for character in text if character.isprintable())[:80]


def print_list(rows: list[Row]) -> None:
    """The list as a table that fits 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Model", "Params", "Licence", "Memory", "Compressed to", "State"):
        table.add_column(heading, justify="right" if heading in ("Params", "Memory") else "left", no_wrap=True)
    for row in rows:
        licence = _short_licence(row["licence"] or "") + ("*" if row["gated"] else "")
        memory = row["memory_bytes"]
        table.add_row(
            Text(row["id"]),
            show_count(row["parameters"]),
            licence,
            show_bytes(memory) if memory else "",
            ", ".join(row["recipes"]) if len(row["recipes"]) < 2 else "-50, -67",
            Text(row["state"], style="green" if row["state"] in ("here", "built in") else ""),
        )
    console = Console()
    console.print(table)
    console.print(
        f"\n* gated: asks for agreement on the Hub. Memory: unpruned at Q4_0, context {LIST_CONTEXT:,}.", style="dim"
    )


def _short_licence(licence: str) -> str:
    return "hai-def" if licence == "health-ai-developer-foundations" else licence


def show_count(parameters: int | None) -> str:
    """Parameters for people: `8.54 B`, `8.9 M`."""
    if parameters is None:
        return ""
    return f"{parameters / 1e9:.2f} B" if parameters >= 10**8 else f"{parameters / 1e6:.1f} M"


def info_facts(name: str, store: Store, n_ctx: int) -> Row:
    """Everything known about a model id or a GGUF file.

    Raises:
        ModelNotFoundError, ModelFileError: nothing of that name, or a file that cannot be used.
    """
    model, manifest = find_in_catalogue(name), store.find(name)
    header = _header_of(name, manifest, store)
    if model is None and manifest is None and header is None:
        raise not_found(name, store)
    facts: Row = {"id": name}
    if model is not None:
        facts |= _catalogue_facts(model, _state(name, store, {name: manifest} if manifest else {}))
    if manifest is not None:
        facts |= _manifest_facts(manifest, store)
    if header is not None:
        facts["file"] = _header_facts(header)
    if header is not None:
        facts["memory"] = _memory_facts(header, min(n_ctx, header.n_ctx_train), "as stored")
    elif model is not None:
        facts["memory"] = _memory_facts(model, min(n_ctx, model.context_tokens), "unpruned at Q4_0")
    return facts


def _header_of(name: str, manifest: Manifest | None, store: Store) -> GgufHeader | None:
    if name == REFERENCE_ID:
        try:
            return read_header(reference_gguf())
        except ModelFileError:
            return None
    if (manifest is not None and manifest.kind == "gguf") or Path(name).is_file():
        return read_header(resolve_gguf(name, store))
    return None


def _catalogue_facts(model: CatalogueModel, state: str) -> Row:
    return {
        "name": model.name,
        "state": state or "not on this machine",
        "repository": model.repository or None,
        "licence": model.licence,
        "gated": model.gated,
        "family": model.family,
        "parameters": model.parameters,
        "ffn_share": round(model.ffn_parameters / model.parameters, 3),
        "context_tokens": model.context_tokens,
        "shapes": vars(model.shapes),
        "q4_0_bytes": model.q4_0_bytes(),
        "recipes": list(model.recipes),
        "note": model.note or None,
    }


def _manifest_facts(manifest: Manifest, store: Store) -> Row:
    return {
        "state": "here",
        "kind": manifest.kind,
        "origin": manifest.origin,
        "revision": manifest.revision or None,
        "added": manifest.added,
        "folder": str(store.folder(manifest.id)),
        "size_bytes": manifest.size_bytes,
        "files": [vars(file) for file in manifest.files],
    }


def _header_facts(header: GgufHeader) -> Row:
    return {
        "path": str(header.path),
        "name": _printable(header.name),
        "architecture": header.architecture,
        "parameters": header.n_params,
        "layers": header.n_layers,
        "embedding_length": header.n_embd,
        "ffn_widths": list(header.ffn_widths),
        "context_tokens": header.n_ctx_train,
        "vocabulary": header.n_vocab,
        "chat_template": header.has_chat_template,
        "quantization": {
            name: {"tensors": share.tensors, "bytes": share.n_bytes} for name, share in header.quantization_mix.items()
        },
    }


def _memory_facts(source: GgufHeader | CatalogueModel, n_ctx: int, state: str) -> Row:
    estimate = estimate_memory(source, n_ctx)
    return {
        "state": state,
        "context_tokens": n_ctx,
        "weights_bytes": estimate.weights_bytes,
        "kv_bytes": estimate.kv_bytes,
        "compute_bytes": estimate.compute_bytes,
        "library_bytes": estimate.library_bytes,
        "total_bytes": estimate.total_bytes,
        "free_here_bytes": free_memory_bytes(),
        "boards": {board.id: estimate.total_bytes <= board.usable_bytes for board in boards()},
    }


def print_info(facts: Row) -> None:
    """`info_facts` for people, in 80 columns."""
    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _info_lines(facts):
        table.add_row(label, Text(value))
    console.print(table)


def _info_lines(facts: Row) -> Iterator[tuple[str, str]]:
    yield "Model", f"{facts.get('name', facts['id'])} ({facts.get('state', 'a file')})"
    if "family" in facts:
        yield from _catalogue_lines(facts)
    if "origin" in facts:
        revision = f" at {facts['revision']}" if facts["revision"] else ""
        yield "From", f"{facts['origin']}{revision}, {facts['added']}"
        yield "Stored", f"{show_bytes(facts['size_bytes'])} in {facts['folder']}"
    if "file" in facts:
        yield from _file_lines(facts["file"])
    if "memory" in facts:
        yield from _memory_lines(facts["memory"])


def _catalogue_lines(facts: Row) -> Iterator[tuple[str, str]]:
    gate = ", gated: agree on the Hub first" if facts["gated"] else ""
    shapes = facts["shapes"]
    if facts["repository"]:
        yield "Repository", facts["repository"]
    yield "Licence", facts["licence"] + gate
    yield "Parameters", f"{show_count(facts['parameters'])}, {facts['ffn_share']:.0%} of them in the FFN"
    yield (
        "Layers",
        (
            f"{shapes['layers']}: width {shapes['hidden']}, FFN {shapes['ffn']}, {shapes['heads']} heads and "
            f"{shapes['kv_heads']} key-value heads of {shapes['head_dim']}"
        ),
    )
    tied = "tied" if shapes["tied"] else "separate output"
    yield "Vocabulary", f"{shapes['vocab']:,} tokens, {tied}; context {facts['context_tokens']:,}"
    yield "Compressed to", ", ".join(facts["recipes"]) or "nothing: run as it is"
    if facts["note"]:
        yield "Note", facts["note"]


def _file_lines(file: Row) -> Iterator[tuple[str, str]]:
    widths = file["ffn_widths"]
    span = f"{min(widths)}" if len(set(widths)) < 2 else f"{min(widths)} to {max(widths)}, by layer"
    mix = ", ".join(f"{name} {show_bytes(share['bytes'])}" for name, share in file["quantization"].items())
    yield "File", file["path"]
    yield "Holds", f"{file['name']}: {file['architecture']}, {show_count(file['parameters'])} parameters, {mix}"
    yield "Shape", f"{file['layers']} layers of width {file['embedding_length']}, FFN {span}"
    template = "has a chat template" if file["chat_template"] else "no chat template: cannot be chatted with"
    yield "Text", f"{file['vocabulary']:,} tokens, context {file['context_tokens']:,}, {template}"


def _memory_lines(memory: Row) -> Iterator[tuple[str, str]]:
    total, free = show_bytes(memory["total_bytes"]), show_bytes(memory["free_here_bytes"])
    yield "Memory", f"{total} {memory['state']}, context {memory['context_tokens']:,} ({free} free here)"
    parts = {"weights": "weights_bytes", "cache": "kv_bytes", "compute": "compute_bytes", "library": "library_bytes"}
    yield "", ", ".join(f"{label} {show_bytes(memory[key])}" for label, key in parts.items())
    fits = [board for board, room in memory["boards"].items() if room]
    yield "Fits on", ", ".join(fits) or "no board as it is: compress it further or lower --context"


def print_stored(manifest: Manifest, store: Store) -> None:
    """Say what is now in the store."""
    revision = f" at {manifest.revision[:12]}" if manifest.revision else ""
    print(f"{manifest.id}: {manifest.kind}, {show_bytes(manifest.size_bytes)}, {manifest.origin}{revision}")
    print(f"in {store.folder(manifest.id)}")


@contextmanager
def progress(verb: str, total_bytes: int | None) -> Iterator[Progress]:
    """A progress bar on standard error, or none where that is no terminal."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    label = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    columns = (
        BarColumn(12),
        DownloadColumn(binary_units=True, table_column=Column(no_wrap=True)),
        TransferSpeedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
    )
    console = Console(stderr=True)
    with Bar(label, *columns, console=console, transient=True, expand=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(verb, total=total_bytes)

        def advance(name: str, done_bytes: int) -> None:
            bar.update(task, advance=done_bytes, description=f"{verb} {name}")

        yield advance

"""What `bedside knowledge` prints: tables for people, plain objects for `--json`."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.errors import DamagedLibraryError
from assistant.knowledge.adding import Added, read_sources
from assistant.knowledge.database import damage, open_for_reading
from assistant.knowledge.installed import installed_files
from assistant.knowledge.library import STARTER, source_fields, starter_documents
from assistant.knowledge.search import Hit
from assistant.knowledge.writing import folds_alike
from assistant.plaintext import plain_line
from models.disk import show_bytes

Row = dict[str, Any]
_WIDTH = 100


def print_json(value: Row) -> None:
    """One JSON document on standard output, ASCII: right in any locale."""
    print(json.dumps(value))


def library_rows() -> list[Row]:
    """All libraries, the starter first; counts are null of one that cannot be read."""
    notes = starter_documents()
    starter = {
        "id": STARTER,
        "documents": len(notes),
        "passages": sum(len(note.passages) for note in notes),
        "sources": len(notes),
        "size_bytes": None,
        "path": None,
        "state": "built in",
    }
    return [starter, *(_library_row(name, path) for name, path in installed_files().items())]


def _library_row(name: str, path: Path) -> Row:
    row: Row = {"id": name, "documents": None, "passages": None, "sources": None}
    try:
        row |= {"size_bytes": path.stat().st_size, "path": str(path), "state": "here"}
        with closing(open_for_reading(path)) as connection, damage(path):
            for table in ("document", "passage", "source"):
                row[f"{table}s"] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if not folds_alike(connection):
                row["state"] = "indexed by another version"
    except DamagedLibraryError as error:
        row["state"] = f"damaged: {error}"
    return row


def print_libraries(rows: Sequence[Row]) -> None:
    """The list as a table, and a line for each that needs something done."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Library", "Documents", "Passages", "Sources", "Size", "State"):
        table.add_column(heading, justify="left" if heading in ("Library", "State") else "right", no_wrap=True)
    for row in rows:
        counts = ("" if row[key] is None else f"{row[key]:,}" for key in ("documents", "passages", "sources"))
        size = "" if row["size_bytes"] is None else show_bytes(row["size_bytes"])
        table.add_row(Text(row["id"]), *counts, size, row["state"].partition(":")[0])
    Console().print(table)
    for row in rows:
        if row["state"].startswith("damaged"):
            print(f"{row['id']} is {plain_line(row['state'])}")
        elif row["state"].startswith("indexed"):
            print(f"{row['id']} finds a little less until: bedside knowledge verify {row['id']} --repair")


def source_rows(path: Path) -> list[Row]:
    """The sources of a library. Raises DamagedLibraryError."""
    return [asdict(record) for record in read_sources(path)]


def print_sources(rows: Sequence[Row]) -> None:
    """One line a source: when it was added, how large it is, its name."""
    for row in rows:
        empty = f" (entries left out: {row['left_out']:,})" if row["left_out"] else ""
        print(f"{row['added'][:10]}  {show_bytes(row['size_bytes']):>10}  {plain_line(row['name'])}{empty}")


def print_added(library: str, added: Added) -> None:
    """What came of adding."""
    for fault in added.faults:
        print(f"left out: {plain_line(fault)}", file=sys.stderr)
    if not added.sources:
        print(f"{library}: nothing to do, {_count(added.unchanged, 'file')} already in it")
        return
    line = (
        f"{library}: {_count(added.sources, 'file')} added with {_count(added.documents, 'document')} and "
        f"{_count(added.passages, 'passage')}, {_count(added.changed, 'document')} new, changed or gone"
    )
    if added.unchanged:
        line += f"; {_count(added.unchanged, 'file')} already in it"
    if added.left_out:
        line += f"; entries left out: {added.left_out:,}"
    print(line)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def print_left_out(left_out: Mapping[str, str]) -> None:
    """Libraries that a search could not read, on standard error."""
    for name, why in left_out.items():
        print(f"library {plain_line(name)} was left out: {plain_line(why)}", file=sys.stderr)


def result_rows(query: str, hits: Sequence[Hit], left_out: Mapping[str, str]) -> Row:
    """The result of a search, as `/v1/knowledge/search` has it."""
    results = [{**source_fields(number, hit.passage), "score": hit.score} for number, hit in enumerate(hits, start=1)]
    return {"query": query, "results": results, "left_out": dict(left_out)}


def print_results(hits: Sequence[Hit]) -> None:
    """Passages for reading: heading, text, where it stands."""
    if not hits:
        print("no passage found: the libraries hold nothing on this")
    width = min(shutil.get_terminal_size().columns, _WIDTH) if sys.stdout.isatty() else None
    for number, hit in enumerate(hits, start=1):
        for line in _result_lines(number, hit):
            indent = "" if line.startswith("[") else "    "
            wrapped = [line] if width is None else textwrap.wrap(line, width - 4, subsequent_indent="    ")
            print("\n".join(f"{indent}{each}" for each in wrapped))


def _result_lines(number: int, hit: Hit) -> Iterator[str]:
    passage = hit.passage
    yield f"[{number}] {plain_line(passage.grounding.heading)} ({plain_line(passage.date) or 'no date'})"
    yield plain_line(passage.text)
    known = (passage.follows, passage.source, passage.position, passage.licence, passage.id)
    yield " · ".join(plain_line(each) for each in known if each)

"""JSON lines: a document a line, with `text` or `sections`, and what else is known of it.

Fields: `title`, `text` or `sections` (each `heading` and `text`), `id`, `date`, `licence` (or `license`), `source` (or
`url`), `keywords`. Others are passed over.
"""

import json
from collections.abc import Iterator
from typing import Any

from assistant.errors import DocumentError
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section, decode


def read_json_lines(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The documents of the file. Raises DocumentError naming the line."""
    return tuple(_manuscripts(name, decode(name, data)))


def _manuscripts(name: str, text: str) -> Iterator[Manuscript]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise DocumentError(f"{name}, line {number}: not JSON; write one object a line") from None
            yield _manuscript(f"{name}, line {number}", number, row)


def _manuscript(where: str, number: int, row: Any) -> Manuscript:
    if not isinstance(row, dict) or ("text" in row) == ("sections" in row):
        raise DocumentError(f"{where}: not an object with either text or sections; correct it")
    keywords = row.get("keywords", [])
    if not isinstance(keywords, list):
        raise DocumentError(f"{where}: keywords is not a list of words; correct it")
    whole = "text" in row
    return Manuscript(
        _sections(where, [{"text": row["text"]}] if whole else row["sections"], number if whole else 1),
        "line" if whole else "section",
        name=_text(where, row, "id"),
        title=_text(where, row, "title"),
        date=_text(where, row, "date"),
        licence=_text(where, row, "licence") or _text(where, row, "license"),
        source=_text(where, row, "source") or _text(where, row, "url"),
        keywords=tuple(map(str, keywords)),
    )


def _sections(where: str, entries: Any, first: int) -> tuple[Section, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "text" in entry for entry in entries):
        raise DocumentError(f"{where}: sections is not a list of objects with heading and text; correct it")
    found = []
    for place, entry in enumerate(entries, start=first):
        heading = _text(where, entry, "heading")
        blocks = [block for block in _text(where, entry, "text").splitlines() if block.strip()]
        found.append(Section((heading,) if heading else (), tuple(Paragraph(block, place) for block in blocks)))
    return tuple(found)


def _text(where: str, row: dict[str, Any], field: str) -> str:
    value = row.get(field)
    if value is not None and not isinstance(value, str | int):
        raise DocumentError(f"{where}: {field} is not text; correct it")
    return "" if value is None else str(value)

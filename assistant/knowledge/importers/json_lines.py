"""JSON lines: a document a line, with `text` or `sections`, and what else is known of it.

Fields: `title`, `text` or `sections` (each `heading` and `text`), `id`, `date`, `licence` (or `license`), `source` (or
`url`), `keywords`. Others are passed over.
"""

import json
from typing import Any

from assistant.errors import DocumentError
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section, decode


def read_json_lines(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The documents of the file, and one without text that counts the lines which are none and names the first.

    Raises:
        DocumentError: every line is wrong; it names the first.
    """
    found: list[Manuscript] = []
    wrong: list[str] = []
    for number, line in enumerate(decode(name, data).split("\n"), start=1):
        if line.strip():
            try:
                found.append(_read_line(f"{name}, line {number}", number, line))
            except DocumentError as error:
                wrong.append(str(error))
    if wrong and not found:
        raise DocumentError(wrong[0])
    if wrong:
        of_all = f"{len(wrong)} of {len(wrong) + len(found)} lines were left out"
        found.append(Manuscript((), "", left_out=len(wrong), fault=f"{wrong[0]} ({of_all})"))
    return tuple(found)


def _read_line(where: str, number: int, line: str) -> Manuscript:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise DocumentError(f"{where}: not JSON; write one object a line") from None
    return _manuscript(where, number, row)


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

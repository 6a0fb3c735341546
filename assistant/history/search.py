"""Full-text search: words to a query that FTS5 accepts, rows to hits with the matches marked."""

import re
from collections.abc import Sequence
from typing import Any

from assistant.history.conversation import Hit
from assistant.history.database import Connection
from assistant.history.rows import CONVERSATION, conversation_of

Span = tuple[int, int]
_START, _END = "\x01", "\x02"  # never in a text: what is stored has no controls
_SNIPPET, _BEFORE = 180, 40  # characters of a snippet, and of those before the first match
_MOST_WORDS = 32
_MORE = 8
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_TITLES = f"""
SELECT {CONVERSATION}, coalesce(c.tip, ''), highlight(title_words, 0, ?, ?)
FROM title_words JOIN conversation c ON c.number = title_words.rowid
WHERE title_words MATCH ? ORDER BY title_words.rank, c.changed_at DESC LIMIT ?
"""
_MESSAGES = f"""
SELECT {CONVERSATION}, m.id, highlight(message_words, 0, ?, ?)
FROM message_words JOIN message m ON m.number = message_words.rowid JOIN conversation c ON c.number = m.conversation
WHERE message_words MATCH ? ORDER BY message_words.rank, m.number DESC LIMIT ?
"""


def search(connection: Connection, words: str, limit: int) -> list[Hit]:
    """Titles first, then messages, the best match first: those with all the words, else those with any of them.

    Each conversation is found once, by what fits best. The last word may be the beginning of one. What stands between
    double quotes is found as it is.
    """
    phrases = _phrases(words)
    for joined in dict.fromkeys((" AND ".join(phrases), " OR ".join(phrases)) if phrases else ()):
        if hits := _hits(connection, joined, limit):
            return hits
    return []


def _phrases(words: str) -> list[str]:
    """Each word or quotation as a string of FTS5, in which no character is an operator."""
    found = [quoted or word for quoted, word in _WORD.findall(words.replace("\0", " "))]
    found = [text for text in found if any(map(str.isalnum, text))][:_MOST_WORDS]
    phrases = ['"' + text.replace('"', '""') + '"' for text in found]
    if phrases and words[-1:].isalnum():
        phrases[-1] += "*"
    return phrases


def _hits(connection: Connection, query: str, limit: int) -> list[Hit]:
    found: dict[str, Sequence[Any]] = {}
    for statement in (_TITLES, _MESSAGES):
        _add_rows(found, connection, statement, query, limit)
    return [_hit(row) for row in found.values()]


def _add_rows(found: dict[str, Sequence[Any]], connection: Connection, statement: str, query: str, limit: int) -> None:
    """The best row of each conversation that has none yet; more are asked for where many are of the same ones."""
    asked = limit
    while len(found) < limit:
        rows = connection.execute(statement, (_START, _END, query, asked)).fetchall()
        for row in rows:
            if len(found) < limit:
                found.setdefault(row[0], row)
        if len(rows) < asked:
            return
        asked *= _MORE


def _hit(row: Sequence[Any]) -> Hit:
    *fields, message_id, marked = row
    snippet, spans = _cut(*_unmarked(" ".join(marked.split())))
    return Hit(conversation_of(fields), message_id, snippet, spans)


def _unmarked(text: str) -> tuple[str, list[Span]]:
    """A text without the marks, and where they were."""
    pieces: list[str] = []
    spans: list[Span] = []
    place = start = 0
    for piece in re.split(f"([{_START}{_END}])", text):
        if piece == _START:
            start = place
        elif piece == _END:
            spans.append((start, place))
        else:
            pieces.append(piece)
            place += len(piece)
    return "".join(pieces), spans


def _cut(text: str, spans: Sequence[Span]) -> tuple[str, tuple[Span, ...]]:
    """The piece of a text in which most matches stand, the first of such.

    FTS5's own `snippet` takes a minute where a word stands a hundred thousand times.
    """
    start = _fullest(spans) - _BEFORE if len(text) > _SNIPPET else 0
    start = max(0, min(start, len(text) - _SNIPPET))
    if start:
        start = text.find(" ", start, start + _BEFORE) + 1 or start
    end = start + _SNIPPET
    if end < len(text):
        end = max(text.rfind(" ", start + _SNIPPET // 2, end), 0) or end
    before, after = "… " if start else "", " …" if end < len(text) else ""
    inside = [(max(first, start), min(last, end)) for first, last in spans if last > start and first < end]
    moved = ((first - start + len(before), last - start + len(before)) for first, last in inside)
    return f"{before}{text[start:end]}{after}", tuple(moved)


def _fullest(spans: Sequence[Span]) -> int:
    """Where the match begins that has most others behind it in a snippet's length."""
    best = most = last = 0
    for first, (start, _) in enumerate(spans):
        while last < len(spans) and spans[last][1] <= start + _SNIPPET - _BEFORE:
            last += 1
        if last - first > most:
            best, most = start, last - first
    return best

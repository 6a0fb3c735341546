"""Requests that no model is asked to answer: the means to harm somebody, by the phrases of refusals.toml."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.safety.phrases import Lexicon
from assistant.safety.words import lowered, tokens_of
from models.tables import read_rows

REFUSAL = (
    "Bedside does not answer this: it reads as a request for the means to harm somebody. "
    "If somebody is in danger or has been harmed, ask about assessment and treatment."
)
SKIPPED = frozenset("a an the my his their your our this that some".split())


@dataclass(frozen=True)
class _Row:
    """A kind of request: one of `phrases`, one of `together` if there are any, and none of `unless`."""

    id: str
    phrases: tuple[str, ...]
    together: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


def refused(text: str) -> str | None:
    """The kind of harm that the text asks the means for, or None. Time grows with the text only."""
    rows, lexicon = _kinds()
    found = {each.name for each in lexicon.find(tokens_of(lowered(text)))}
    for row in rows:
        together = not row.together or f"{row.id} together" in found
        if row.id in found and together and f"{row.id} unless" not in found:
            return row.id
    return None


@cache
def _kinds() -> tuple[tuple[_Row, ...], Lexicon]:
    rows = read_rows(Path(__file__).with_name("refusals.toml"), "refusal", _Row)
    phrases = {row.id: row.phrases for row in rows}
    phrases |= {f"{row.id} together": row.together for row in rows}
    phrases |= {f"{row.id} unless": row.unless for row in rows}
    return rows, Lexicon(phrases, SKIPPED)

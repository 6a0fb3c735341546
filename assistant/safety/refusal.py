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
REFUSAL_IN_A_CRISIS = (
    "Bedside does not describe ways to die. If this is about you: do not stay alone with it, and call the crisis number that is "
    "shown with the red flags or the emergency services now. If it is about a patient, ask how to assess the risk or how to "
    "treat what was done."
)
_OWN_DEATH = "own-death"
SKIPPED = frozenset("a an the my his their your our this that some".split())


@dataclass(frozen=True)
class _Row:
    """A kind of request: one of `phrases`, one of `together` if there are any, and none of `unless`."""

    id: str
    phrases: tuple[str, ...]
    together: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


def refused(text: str) -> str | None:
    """The fixed answer to a text that asks for the means to harm somebody, or None. Time grows with the text only."""
    rows, lexicon = _kinds()
    found = {each.name for each in lexicon.find(tokens_of(lowered(text)))}
    for row in rows:
        together = not row.together or f"{row.id} together" in found
        if row.id in found and together and f"{row.id} unless" not in found:
            return REFUSAL_IN_A_CRISIS if row.id == _OWN_DEATH else REFUSAL
    return None


@cache
def _kinds() -> tuple[tuple[_Row, ...], Lexicon]:
    rows = read_rows(Path(__file__).with_name("refusals.toml"), "refusal", _Row)
    phrases = {row.id: row.phrases for row in rows}
    phrases |= {f"{row.id} together": row.together for row in rows}
    phrases |= {f"{row.id} unless": row.unless for row in rows}
    return rows, Lexicon(phrases, SKIPPED)

"""Phrases of the data files: every alternative that one names is found, and words between cost what they should."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assistant.safety
from assistant.safety.phrases import GAPS, Lexicon
from assistant.safety.refusal import SKIPPED as SKIPPED_OF_REFUSALS
from assistant.safety.rules import SKIPPED, SKIPPED_OF_CUES
from assistant.safety.words import tokens_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(assistant.safety.__file__).parent
FILES = [
    ("findings.toml", "finding", SKIPPED),
    ("cues.toml", "cue", SKIPPED_OF_CUES),
    ("refusals.toml", "refusal", SKIPPED_OF_REFUSALS),
]


def rows(file: str, table: str) -> list[dict[str, Any]]:
    """The rows of a data file."""
    found: list[dict[str, Any]] = tomllib.loads((FOLDER / file).read_text("utf-8"))[table]
    return found


def alternatives(phrase: str) -> Iterator[str]:
    """A text for every word that the phrase allows, the first of all the other words around it."""
    pieces = [piece.split("/") for piece in phrase.split() if piece not in GAPS]
    for place, words in enumerate(pieces):
        for word in words:
            chosen = [word if at == place else others[0] for at, others in enumerate(pieces)]
            yield " ".join(each.rstrip("*") for each in chosen).replace("? ", "?")


@pytest.mark.parametrize(("file", "table", "skipped"), FILES)
def test_every_word_of_every_phrase_is_found(file: str, table: str, skipped: frozenset[str]) -> None:
    dead = []
    for row in rows(file, table):
        for phrase in (phrase for key in ("phrases", "together", "unless") for phrase in row.get(key, ())):
            lexicon = Lexicon({"it": [phrase]}, skipped)
            dead += [(phrase, text) for text in alternatives(phrase) if not list(lexicon.find(tokens_of(text)))]
    assert dead == []


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("end my/his life", "end my life", True),
        ("end my/his life", "end the life", False),
        ("end own/my life", "end my own life", True),
        ("end .. life", "end one two three four my life", True),
        ("end .. life", "end one two three four five life", False),
        ("looks/is septic", "is very septic", True),
        ("looks/is septic", "septic", False),
    ],
)
def test_skipped_words_count_only_where_a_phrase_names_them(phrase: str, text: str, found: bool) -> None:
    others = ["own my/his/is/looks name"] if "/" in phrase else []
    lexicon = Lexicon({"it": [phrase], "other": others}, SKIPPED)
    assert ("it" in {each.name for each in lexicon.find(tokens_of(text))}) == found

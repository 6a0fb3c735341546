"""Sentences of a passage or an answer, with their positions.

One splitter serves training text, the prompt (each sentence of a passage carries its mark) and the check of an answer,
so that a sentence means the same everywhere.
"""

import re
from typing import NamedTuple

_ABBREVIATIONS = frozenset(
    "e.g i.e etc vs dr mr mrs ms prof st no fig al approx ca cf inc ltd jr sr dept est resp ref refs vol eq".split()
)
_LETTERED = frozenset("vitamin hepatitis type group stage grade class factor influenza".split())
"""Words after which a single letter ends a sentence ("vitamin K.") and is no initial ("J. Smith")."""
_BOUNDARY = re.compile(r"[.!?][\"'”’)\]]*(?=\s+[\"'“‘(\[]*[A-Z0-9])|\n+")
_MARK_AHEAD = re.compile(r"\s*\[\d{1,3}\](?=\s|\[|$)")


class Sentence(NamedTuple):
    """A sentence and its span in code points, end exclusive. `text` has no surrounding white space."""

    start: int
    end: int
    text: str


def split_sentences(text: str, start: int = 0) -> list[Sentence]:
    """Split prose at full stops, question and exclamation marks and line breaks; citation marks stay with their sentence.

    `start`, the end of a sentence, leaves out what comes before it.
    """
    sentences: list[Sentence] = []
    for match in _BOUNDARY.finditer(text, start):
        if match.start() < start or _is_abbreviation(text, match.start()):
            continue
        end = match.end()
        while mark := _MARK_AHEAD.match(text, end):
            end = mark.end()
        _append(sentences, text, start, end)
        start = end
    _append(sentences, text, start, len(text))
    return sentences


def _is_abbreviation(text: str, stop: int) -> bool:
    if text[stop] != ".":
        return False
    word = re.search(r"(\w*)\s*?([\w./]+)$", text[max(0, stop - 40) : stop])
    if word is None:
        return False
    before, token = word.group(1).lower(), word.group(2).lower()
    initial = len(token) == 1 and token.isalpha() and token != "i" and before not in _LETTERED
    return token in _ABBREVIATIONS or initial or bool(re.fullmatch(r"([a-z]\.)+[a-z]", token))


def _append(sentences: list[Sentence], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        offset = start + len(piece) - len(piece.lstrip())
        sentences.append(Sentence(offset, offset + len(stripped), stripped))

"""Held-out documents that every cell is measured on, and which of them share a passage with training text."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compressor.text import CORPORA, read_source
from compressor.tokens import ChatTokenizer

OVERLAP_WORDS = 13
"""A document that has so many words in a row in common with a training document counts as seen."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class HeldOut:
    """One text's rows of token ids, longest first, and for each whether it shares a passage with train."""

    rows: list[list[int]]
    overlaps: tuple[bool, ...]


def word_grams(text: str, length: int = OVERLAP_WORDS) -> set[tuple[str, ...]]:
    """Every run of `length` lower-cased words of a text."""
    words = _WORD.findall(text.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def share_a_passage(documents: Iterable[str], train: Iterable[str]) -> list[bool]:
    """For each document, whether any run of 13 lower-cased words of it stands in a training document."""
    grams = [word_grams(document) for document in documents]
    wanted = set().union(*grams)
    seen: set[tuple[str, ...]] = set()
    for text in train:
        seen |= wanted & word_grams(text)
    return [not seen.isdisjoint(document) for document in grams]


def read_held_out(source: str, data: Path | None, tokenizer: ChatTokenizer, documents: int, length: int) -> HeldOut:
    """`documents` documents of valid, chosen by the hash of their text, the first `length` ids of each.

    Raises TextError.
    """
    texts = [document.plain for document in read_source(source, data, "valid")]
    texts.sort(key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    start = [] if tokenizer.bos is None else [tokenizer.bos]
    rows = [(start + tokenizer.text(text))[:length] for text in texts[:documents]]
    has_train = source == "starter" or source in CORPORA
    train = [document.plain for document in read_source(source, data, "train")] if has_train else []
    # make_batches orders rows by length; so ordered here, its order is the order of the documents.
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]), reverse=True)
    overlaps = share_a_passage(texts[:documents], train)
    return HeldOut([rows[index] for index in order], tuple(overlaps[index] for index in order))

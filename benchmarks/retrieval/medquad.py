"""MedQuAD as a library: a document a subject and web page, a section an answer, passages of up to 1,200 characters."""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from assistant.knowledge.library import Document, LibraryPassage, passage_id

MOST_CHARACTERS = 1200
_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class Answer:
    """A row of the set: what is asked of which subject, and the answer."""

    doc: str
    focus: str
    kind: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """What another document must be about, and tell of it, to answer the same question."""
        return self.focus.casefold(), self.kind


def load(data: Path, split: str) -> list[Answer]:
    """The rows of `train` or `valid`, in their order."""
    with gzip.open(data / "medquad" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = (json.loads(line) for line in lines)
        return [Answer(row["doc"], row["focus"], row["qtype"], row["answer"]) for row in rows if row["focus"]]


def documents(answers: Sequence[Answer]) -> list[Document]:
    """The library."""
    ordered = sorted(answers, key=lambda answer: (answer.doc, answer.focus))
    groups = groupby(ordered, key=lambda answer: (answer.doc, answer.focus))
    return [_document(f"{doc}-{number}", focus, list(of_one)) for number, ((doc, focus), of_one) in enumerate(groups)]


def _document(name: str, focus: str, answers: Sequence[Answer]) -> Document:
    parts = [(answer.kind.capitalize(), part) for answer in answers for part in _cut(answer.text)]
    passages = tuple(
        LibraryPassage(passage_id("medquad", name, number, text), focus, section, text, "", "CC BY 4.0", "")
        for number, (section, text) in enumerate(parts, start=1)
    )
    return Document(name, focus, (), passages)


def _cut(text: str) -> Iterator[str]:
    held = ""
    for sentence in _END.split(text):
        if held and len(held) + len(sentence) >= MOST_CHARACTERS:
            yield held
            held = ""
        held = f"{held} {sentence}".strip()
    if held:
        yield held

"""Corpora on disk to cleaned sections: what the tokenizer, the text rows and the grounded examples are made of.

A corpus is a folder with `train.jsonl.gz` and `valid.jsonl.gz`, split by document. One document in ten of the train part
is held back as *tuning*, by a hash of its id; *valid* is read for the report only.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.text import read_objects
from models.errors import TextError
from models.sentences import split_sentences

CORPORA = ("medquad", "nursing", "anatomy", "trials")
"""The corpora whose licence is clean; Medical Meadow is for evaluation only."""

_SECTION_NAMES = {
    "information": "Overview",
    "exams and tests": "Exams and tests",
    "considerations": "What to do",
    "susceptibility": "Who is at risk",
}
_NOISE = re.compile(r"\(?\[\\?\[link\\?\]\]?\\?\]?\(#[^)]*\)|\\\[\\\[link[^)]*\)|\*\*|!\[|\.jpg>|\(credit[^)]*\)")
_LONGEST_TITLE_WORDS = 10


@dataclass(frozen=True)
class Section:
    """One section of a document: where it stands, the question it answers (MedQuAD only) and its cleaned text."""

    corpus: str
    doc: str
    title: str
    heading: str
    question: str | None
    text: str
    sentences: tuple[str, ...]
    """The sentences fit for quoting: whole, of moderate length, no list debris. May be empty."""


def is_tuning(doc: str) -> bool:
    """Whether this train document belongs to the tuning tenth."""
    return hashlib.sha256(doc.encode()).digest()[0] % 10 == 0


def read_sections(data: Path, corpus: str, part: str) -> list[Section]:
    """All sections of `corpus`; part is `train`, `tuning` or `valid`. Raises TextError for a missing or damaged file."""
    path = data / corpus / ("valid.jsonl.gz" if part == "valid" else "train.jsonl.gz")
    if not path.is_file():
        raise TextError(f"text {path} is missing; give the folder that holds the corpora with --data")
    sections: list[Section] = []
    for number, row in read_objects(path):
        try:
            if part == "valid" or is_tuning(str(row["doc"])) == (part == "tuning"):
                sections.extend(_PARSERS[corpus](row))
        except (KeyError, AttributeError, TypeError) as error:
            raise TextError(
                f"text {path} line {number} is no row of {corpus} ({type(error).__name__}: {error}); correct it"
            ) from error
    return sections


def quotable(text: str) -> tuple[str, ...]:
    """The sentences of `text` that stand alone as prose: 5 to 45 words, a capital first, a full stop last, no debris."""
    return tuple(
        sentence.text
        for sentence in split_sentences(text)
        if sentence.text[0].isupper()
        and sentence.text.endswith(".")
        and 5 <= len(sentence.text.split()) <= 45
        and not re.search(r" - |https?:|\[\d|\\|[|<>]", sentence.text)
    )


def _section(corpus: str, row: dict[str, Any], title: str, heading: str, text: str) -> Section:
    cleaned = re.sub(r"[ \t]+", " ", text).strip()
    prose = " ".join(cleaned.split())
    question = " ".join(row["question"].split()) if "question" in row else None
    return Section(corpus, str(row["doc"]), title, heading, question, cleaned, quotable(prose))


def _medquad(row: dict[str, Any]) -> list[Section]:
    heading = _SECTION_NAMES.get(row["qtype"], row["qtype"].capitalize())
    title = " ".join(row["focus"].split()).rstrip("? ")
    return [_section("medquad", row, title, heading, row["answer"])]


def _textbook(corpus: str) -> Callable[[dict[str, Any]], list[Section]]:
    def parse(row: dict[str, Any]) -> list[Section]:
        blocks = re.split(r"\n\s*\n", _NOISE.sub("", row["text"]))
        title = str(row.get("title") or "")
        sections: list[Section] = []
        heading, body = "", list[str]()
        for block in [*blocks, "# End"]:
            line = block.strip()
            name = line.lstrip("#* ").strip()
            if _is_heading(line, name):
                if body:
                    sections.append(_section(corpus, row, title or heading, heading, "\n".join(body)))
                title = title or name
                heading, body = name, []
            elif line:
                body.append(line)
        return sections

    return parse


def _is_heading(line: str, name: str) -> bool:
    if line.startswith("#"):
        return True
    return (
        0 < len(name.split()) <= 8 and name[0].isupper() and not re.search(r"[.:;,?!]$|\n|\(\d{4}|https?:|,.*,", name)
    )


def _trial(row: dict[str, Any]) -> list[Section]:
    parts = re.split(r"^((?:TITLE|ABSTRACT|BODY)[^\n]*):\n", row["text"], flags=re.MULTILINE)
    title = ""
    sections = []
    for name, body in zip(parts[1::2], parts[2::2], strict=False):
        if name == "TITLE":
            title = " ".join(body.split()[:_LONGEST_TITLE_WORDS]).rstrip(".:,;")
        else:
            heading = name.rpartition(".")[2].strip().capitalize()
            sections.append(_section("trials", row, title, heading, body))
    return sections


def _meadow(row: dict[str, Any]) -> list[Section]:
    return [_section("medical_meadow", {**row, "question": row["input"]}, row["input"], "", row["output"])]


_PARSERS: dict[str, Callable[[dict[str, Any]], list[Section]]] = {
    "medquad": _medquad,
    "nursing": _textbook("nursing"),
    "anatomy": _textbook("anatomy"),
    "trials": _trial,
    "medical_meadow": _meadow,
}

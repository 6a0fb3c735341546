"""Benchmark files in the published shape with questions of our own."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.starter import load_notes

LETTERS = "ABCD"


def write_benchmarks(data: Path, count: int = 8) -> Path:
    """benchmarks/*.jsonl.gz and medquad/valid.jsonl.gz under `data`, made from the starter notes."""
    notes = [note for note in load_notes() if len(note.sections) > 1]
    choice = [
        _choice(number, notes[number].title, [notes[(number + step) % 20] for step in range(4)])
        for number in range(count)
    ]
    abstracts = [
        {
            "id": str(number),
            "split": "test",
            "question": f"Does {notes[number].title} need a test?",
            "contexts": [section.text[:200] for section in notes[number].sections[:2]],
            "answer": ("yes", "no", "maybe")[number % 3],
        }
        for number in range(count)
    ]
    medquad = [
        {
            "doc": note.id,
            "id": note.id,
            "focus": note.title,
            "qtype": "information",
            "question": f"What is {note.title}?",
            "answer": note.sections[0].text,
        }
        for note in notes[: 2 * count]
    ]
    _write(data / "benchmarks" / "medqa_4options_test.jsonl.gz", choice)
    _write(data / "benchmarks" / "medmcqa_dev.jsonl.gz", choice)
    _write(data / "benchmarks" / "pubmedqa.jsonl.gz", [*abstracts, {**abstracts[0], "id": "t", "split": "train"}])
    _write(data / "medquad" / "valid.jsonl.gz", medquad)
    return data


def _choice(number: int, title: str, notes: list[Any]) -> dict[str, Any]:
    texts = [note.sections[0].text.split(".")[0] for note in notes]
    gold = number % 4
    ordered = [*texts[1 : gold + 1], texts[0], *texts[gold + 1 :]]
    options = dict(zip(LETTERS, ordered, strict=True))
    return {"id": number, "question": f"What is true of {title}?", "options": options, "answer": LETTERS[gold]}


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)

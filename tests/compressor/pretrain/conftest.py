"""A small corpus in the formats of the real ones, written for these tests."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from compressor.examples.corpora import CORPORA, Section, read_sections
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.tokenizer import train_tokenizer

TINY = PretrainConfig(
    vocab_size=400,
    hidden_size=32,
    intermediate_size=64,
    layers=2,
    heads=2,
    kv_heads=1,
    text_tokens=2_000,
    copy_tokens=1_000,
    total_tokens=8_000,
    rows=4,
    row_tokens=512,
    warmup_tokens=500,
    compiled=False,
    dtype="float32",
)

ILLNESSES = ("Maple fever", "Birch syndrome", "Willow palsy", "Cedar rash", "Aspen cough", "Larch gout", "Elm ague")
ASPECTS = {
    "symptoms": (
        "What are the symptoms of {} ?",
        "{} begins with shivering at night. A dry tongue follows within two days.",
    ),
    "treatment": (
        "What are the treatments for {} ?",
        "{} is treated with rest and warm fluids. Most people recover in a week.",
    ),
    "causes": ("What causes {} ?", "{} is caused by a small spore. The spore spreads through damp wooden floors."),
}


def _write(folder: Path, part: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / f"{part}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _medquad(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"doc": name, "focus": name, "qtype": aspect, "question": question.format(name), "answer": answer.format(name)}
        for name in names
        for aspect, (question, answer) in ASPECTS.items()
    ]


def _chapter(number: int) -> dict[str, Any]:
    text = (
        f"Chapter {number}\n\nWalking\n\nWalking number {number} strengthens the heart and the legs. Short walks count too."
        f"\n\nSleeping\n\nSleeping well helps memory in study {number}. Dark rooms help most people to sleep longer."
    )
    return {"doc": f"c{number}", "title": f"Habits {number}", "text": text}


def _trial(number: int) -> dict[str, Any]:
    text = (
        f"TITLE:\nWarm socks for cold feet, trial {number}\n\nABSTRACT.BACKGROUND:\nCold feet are common in winter months. "
        f"Socks may help many people.\n\nBODY.RESULTS:\nFeet were warmer by {number} degrees in the group with socks. "
        "No harm was seen in any group."
    )
    return {"doc": f"t{number}", "text": text}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of corpora, train and valid, 20 documents or more each."""
    folder = tmp_path_factory.mktemp("data")
    names = tuple(f"{name} type {number}" for number in range(1, 5) for name in ILLNESSES)
    _write(folder / "medquad", "train", _medquad(names))
    _write(folder / "medquad", "valid", _medquad(ILLNESSES))
    for corpus in ("nursing", "anatomy"):
        _write(folder / corpus, "train", [_chapter(number) for number in range(30)])
        _write(folder / corpus, "valid", [_chapter(number) for number in range(30, 33)])
    _write(folder / "trials", "train", [_trial(number) for number in range(30)])
    _write(folder / "trials", "valid", [_trial(number) for number in range(30, 33)])
    meadow = [
        {"doc": str(n), "instruction": "Answer", "input": f"Is {n} odd?", "output": f"Number {n} may be odd."}
        for n in range(9)
    ]
    _write(folder / "medical_meadow", "valid", meadow)
    return folder


@pytest.fixture(scope="session")
def sections(data: Path) -> dict[str, list[Section]]:
    """Train sections by corpus."""
    return {corpus: read_sections(data, corpus, "train") for corpus in CORPORA}


@pytest.fixture(scope="session")
def tokenizer(sections: dict[str, list[Section]]) -> Tokenizer:
    """A tokenizer trained on the small corpus."""
    return train_tokenizer((s.text for found in sections.values() for s in found), TINY.vocab_size)

"""The check of what a library costs adds real files and can fail."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import knowledge


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {
            "doc": doc,
            "focus": f"Disease {doc}",
            "url": "http://example.org",
            "qtype": kind,
            "answer": f"{kind} of {doc}.",
        }
        for doc in ("a", "b")
        for kind in ("causes", "treatment")
    ]
    (tmp_path / "medquad").mkdir()
    with gzip.open(tmp_path / "medquad" / "train.jsonl.gz", "wt") as stream:
        stream.write("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_it_adds_what_the_rows_hold(data: Path, tmp_path: Path) -> None:
    rows = list(knowledge.documents(data / "medquad"))
    assert [row["title"] for row in rows] == ["Disease a", "Disease b"]
    source = tmp_path / "medquad.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    cost = knowledge.measure(source, tmp_path / "libraries")
    assert (cost.documents, cost.passages) == (2, 4)
    assert cost.text_bytes == sum(len(section["text"]) for row in rows for section in row["sections"])
    assert cost.size > knowledge.LIMIT_SIZE  # empty pages outweigh so little text
    again = replace(cost, wall_s=15.0, passages=8000)
    assert again.scaled_s == 30.0


def test_without_data_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("BEDSIDE_DATA", raising=False)
    assert knowledge.main() == 2
    assert "set BEDSIDE_DATA" in capsys.readouterr().err

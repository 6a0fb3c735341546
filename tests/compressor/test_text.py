"""Text sources: every bad file is one line that names the line; documents never cross the tuning split."""

import gzip
import os
from pathlib import Path

import pytest

from compressor.text import Document, read_file, read_source, split_tuning
from models.errors import TextError


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b'{"text": "a"}\n\xff\xfe\n', "line 2 is not UTF-8"),
        (b'{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
        (b'["a"]\n', "line 1 is not a JSON object"),
        (b'{"text": ""}\n', "line 1 has no text"),
        (b'{"question": "a"}\n', "line 1 has no text"),
        (b"[" * 100_000, "line 1 is not JSON"),
        (b'{"text": "a\\ud800"}\n', "line 1 has half a UTF-16 pair"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "text.jsonl"
    path.write_bytes(content)
    with pytest.raises(TextError, match=says) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n' * 1000)[:-20])
    with pytest.raises(TextError, match="cannot be read after line"):
        read_file(path)


def test_the_three_forms_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(
        '{"text": "plain"}\n{"question": "Q?", "answer": "A.", "doc": "d1"}\n'
        '{"instruction": "Do", "input": "this", "output": "done", "doc": "d2"}\n',
        "utf-8",
    )
    assert read_file(path) == [
        Document("1", "plain"),
        Document("d1", "A.", "Q?"),
        Document("d2", "done", "Do\nthis"),
    ]


def test_tuning_takes_whole_documents_and_does_not_depend_on_order() -> None:
    items = list(range(40))
    names = [f"doc{item // 2}" for item in items]
    calibrating, tuning = split_tuning(items, names, "x")
    assert sorted(calibrating + tuning) == items
    assert {names[item] for item in calibrating}.isdisjoint(names[item] for item in tuning)
    backwards = split_tuning(items[::-1], names[::-1], "x")
    assert sorted(backwards[1]) == sorted(tuning)
    assert len(tuning) == 4


def test_one_document_cannot_tune() -> None:
    with pytest.raises(TextError, match="give two at least"):
        split_tuning([1, 2], ["a", "a"], "x")


def test_starter_parts_are_disjoint() -> None:
    train, valid = (read_source("starter", None, part) for part in ("train", "valid"))
    assert len(train) == 48
    assert len(valid) == 12
    assert {item.id for item in train}.isdisjoint(item.id for item in valid)


def test_a_corpus_without_its_folder_says_how_to_give_it() -> None:
    with pytest.raises(TextError, match="--data DIR"):
        read_source("medquad", None, "train")


@pytest.mark.shared
@pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set")
@pytest.mark.parametrize(("corpus", "rows"), [("medical_meadow", 359), ("nursing", 22), ("medquad", 887)])
def test_corpora_read_whole(corpus: str, rows: int) -> None:
    documents = read_source(corpus, Path(os.environ["BEDSIDE_DATA"]), "valid")
    assert len(documents) == rows

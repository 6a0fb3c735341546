"""Text sources: the packaged starter notes, a corpus under --data, or a file; and the split into documents.

Documents are split by a hash of their id, so the tuning part stays the same whatever order or seed the samples have.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar, cast

from models.errors import TextError
from models.starter import split_notes

CORPORA = ("anatomy", "medical_meadow", "medquad", "nursing", "trials")
TUNING_SHARE = 0.1
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
PLAIN_SUFFIXES = (".txt", ".md")
Split = Literal["train", "valid"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Document:
    """Plain text, or the answer to `question`."""

    id: str
    text: str
    question: str | None = None

    @property
    def plain(self) -> str:
        """What it is read and scored as: the question, if there is one, on the line above its answer."""
        return self.text if self.question is None else f"{self.question}\n{self.text}"


def read_source(source: str, data: Path | None, split: Split) -> list[Document]:
    """All documents of a source. Raises TextError naming the file and line that cannot be used.

    `starter` and the corpora have a train and a valid part; a file is one part and is used whole.
    """
    if source == "starter":
        return [Document(note.id, note.text) for note in split_notes()[0 if split == "train" else 1]]
    if source in CORPORA:
        if data is None:
            raise TextError(f"text {source} needs its folder: give --data DIR or set BEDSIDE_DATA")
        return read_file(data / source / f"{split}.jsonl.gz")
    return read_file(Path(source))


def read_texts(source: str, data: Path | None, limit: int | None) -> list[str]:
    """Up to `limit` held-out documents of a source as plain text, questions before their answers. Raises TextError."""
    return [document.plain for document in read_source(source, data, "valid")[:limit]]


def resolve_file(source: str, data: Path | None, split: Split) -> Path | None:
    """The file behind a source, or None for `starter`; what a stage's key hashes."""
    if source == "starter":
        return None
    return data / source / f"{split}.jsonl.gz" if source in CORPORA and data is not None else Path(source)


def read_file(path: Path) -> list[Document]:
    """Documents of a file: a .txt or .md file is one, a JSONL file (gzipped if it ends in .gz) one a line. Raises TextError."""
    if not path.is_file():
        raise TextError(f"text {path} is missing; give starter, one of {', '.join(CORPORA)}, a JSONL or a text file")
    if path.suffix in PLAIN_SUFFIXES:
        documents = [Document(path.name, text)] if (text := "".join(line for _, line in _lines(path))).strip() else []
    else:
        documents = [_document(path, number, row) for number, row in read_objects(path)]
    if not documents:
        raise TextError(f"text {path} is empty; give a text file, or a JSONL file with one object a line")
    return documents


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Line number and object of each line of a JSONL file that is not empty. Raises TextError."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TextError(f"text {path} line {number} is not JSON ({error}); correct it") from error
        if not isinstance(row, dict):
            raise TextError(f"text {path} line {number} is not a JSON object; correct it")
        if "\\ud" in line and any(_LONE_SURROGATE.search(value) for value in row.values() if isinstance(value, str)):
            raise TextError(f"text {path} line {number} has half a UTF-16 pair, which is no character; correct it")
        yield number, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with _open(path) as handle:
            for number, raw in enumerate(handle, start=1):
                yield number, raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"text {path} line {number} is not UTF-8; convert the file") from error
    except (OSError, EOFError) as error:
        raise TextError(f"text {path} cannot be read after line {number} ({error}); replace the file") from error


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _document(path: Path, number: int, row: dict[str, object]) -> Document:
    identity = str(row.get("doc", row.get("id", number)))
    if _texts(row, "question", "answer"):
        return Document(identity, str(row["answer"]), str(row["question"]))
    if _texts(row, "instruction", "output"):
        question = "\n".join(part for part in (str(row["instruction"]), str(row.get("input") or "")) if part)
        return Document(identity, str(row["output"]), question)
    if _texts(row, "text"):
        return Document(identity, str(row["text"]))
    raise TextError(
        f"text {path} line {number} has no text; give text, question and answer, or instruction, input and output"
    )


def _texts(row: dict[str, object], *keys: str) -> bool:
    return all(isinstance(row.get(key), str) and str(row[key]).strip() for key in keys)


def split_tuning(items: Sequence[Item], identities: Iterable[str], source: str) -> tuple[list[Item], list[Item]]:
    """Items for calibration and for tuning (a tenth of the documents, one at least), by hash of the document's id."""
    names = list(identities)
    ordered = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if len(ordered) < 2:
        raise TextError(f"text {source} holds one document; give two at least, so that one can tune")
    tuning = frozenset(ordered[: max(1, round(len(ordered) * TUNING_SHARE))])
    calibrating = [item for item, name in zip(items, names, strict=True) if name not in tuning]
    return calibrating, [item for item, name in zip(items, names, strict=True) if name in tuning]

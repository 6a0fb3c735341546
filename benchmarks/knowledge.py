"""What a library costs: seconds of one core to index MedQuAD's passages, and the file's size against its text.

Usage: `BEDSIDE_DATA=DIR python -m benchmarks.knowledge`. It makes JSON lines of DIR/medquad, adds them to a library in a
temporary folder as `bedside knowledge add` does, on one core, and ends with 1 where 16,000 passages take a minute or more,
or the file is three times its text or more.
"""

import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from assistant.knowledge.adding import add_files, find_files
from assistant.knowledge.cut import Given
from assistant.knowledge.installed import library_file
from assistant.knowledge.volume import Volume

PASSAGES = 16_000
LIMIT_S = 60.0
LIMIT_SIZE = 3.0


@dataclass(frozen=True)
class Cost:
    """Of one library from nothing: seconds of computing and of the clock, and bytes."""

    documents: int
    passages: int
    cpu_s: float
    wall_s: float
    again_s: float
    """By the clock, to find that nothing has changed."""
    text_bytes: int
    file_bytes: int

    @property
    def scaled_s(self) -> float:
        """Seconds by the clock for as many passages as the limit is set for."""
        return self.wall_s * PASSAGES / self.passages

    @property
    def size(self) -> float:
        """The file against its text."""
        return self.file_bytes / self.text_bytes

    def __str__(self) -> str:
        return (
            f"{self.documents:,} documents, {self.passages:,} passages: {self.wall_s:.1f} s ({self.cpu_s:.1f} s of "
            f"computing), {self.scaled_s:.1f} s for {PASSAGES:,} (limit {LIMIT_S:.0f}); {self.again_s:.2f} s where nothing "
            f"changed\n{self.file_bytes / 1e6:.1f} MB for {self.text_bytes / 1e6:.1f} MB of text, {self.size:.2f} times "
            f"(limit {LIMIT_SIZE:.0f})"
        )


def documents(medquad: Path) -> Iterator[dict[str, Any]]:
    """The rows of MedQuAD as one object a document, as JSON lines can be added."""
    with gzip.open(medquad / "train.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = sorted(map(json.loads, stream), key=lambda row: str(row["doc"]))
    for name, group in groupby(rows, key=lambda row: str(row["doc"])):
        answers = list(group)
        yield {
            "id": name,
            "title": answers[0]["focus"],
            "source": answers[0]["url"],
            "licence": "CC BY 4.0",
            "sections": [{"heading": row["qtype"].capitalize(), "text": row["answer"]} for row in answers],
        }


def measure(source: Path, folder: Path) -> Cost:
    """Add the file to a new library in that folder."""
    files = find_files([source])
    started_s, cpu_s = time.perf_counter(), time.process_time()
    added = add_files("medquad", folder, files, Given())
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    started_s = time.perf_counter()
    add_files("medquad", folder, files, Given())
    again_s = time.perf_counter() - started_s
    path = library_file(folder, "medquad")
    ((text_bytes,),) = Volume.open("medquad", path).rows("SELECT sum(length(CAST(text AS BLOB))) FROM passage")
    return Cost(added.documents, added.passages, cpu_s, wall_s, again_s, text_bytes, path.stat().st_size)


def main() -> int:
    """Measure and print."""
    data = os.environ.get("BEDSIDE_DATA")
    if not data or not (Path(data) / "medquad").is_dir():
        print("set BEDSIDE_DATA to a folder that holds medquad/train.jsonl.gz", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "medquad.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in documents(Path(data) / "medquad")), "utf-8")
        cost = measure(source, Path(name) / "libraries")
    print(cost)
    return int(cost.scaled_s >= LIMIT_S or cost.size >= LIMIT_SIZE)


if __name__ == "__main__":
    sys.exit(main())

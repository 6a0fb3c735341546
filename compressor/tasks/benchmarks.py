"""The benchmarks, read from JSON lines on disk: evaluation only, nothing here is ever trained or calibrated on.

A file holds objects with `id`, `question`, `answer` and either `options` (A to D) or `contexts` (a list of passages, answered
by yes, no or maybe). The corpora folder has MedQA, MedMCQA and PubMedQA in this shape; a path gives the user's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.tasks import prompts
from compressor.tasks.items import Item, Mode, Task, Template
from compressor.tasks.retention import retention_task
from compressor.text import read_objects
from models.errors import TextError

RETENTION = "retention"
WORDS = ("yes", "no", "maybe")


@dataclass(frozen=True)
class _Benchmark:
    file: str
    choices_heading: bool = False


_BENCHMARKS = {
    "medqa": _Benchmark("medqa_4options_test.jsonl.gz"),
    "medmcqa": _Benchmark("medmcqa_dev.jsonl.gz", choices_heading=True),
    "pubmedqa": _Benchmark("pubmedqa.jsonl.gz"),
}
NAMES = (*_BENCHMARKS, RETENTION)


def task_file(name: str, data: Path | None) -> Path:
    """The file behind a task's name or path. Raises TextError where it is missing or --data is not given."""
    if name in NAMES and data is None:
        raise TextError(f"task {name} needs its file: give --data DIR or set BEDSIDE_DATA")
    if name == RETENTION and data is not None:
        path = data / "medquad" / "valid.jsonl.gz"
    elif name in _BENCHMARKS and data is not None:
        path = data / "benchmarks" / _BENCHMARKS[name].file
    else:
        path = Path(name)
    if not path.is_file():
        raise TextError(f"task {name}: {path} is missing; give one of {', '.join(NAMES)} with --data, or a JSONL file")
    return path


def read_task(name: str, data: Path | None, *, template: Template, mode: Mode, limit: int | None) -> Task:
    """A task's first `limit` items (all where None). Raises TextError naming the file and line that cannot be used."""
    path = task_file(name, data)
    if name == RETENTION:
        if mode == "generate":
            raise TextError("task retention compares whole sentences, which no model writes; set mode = likelihood")
        return retention_task(path.parent.parent, template, limit)
    heading = name in _BENCHMARKS and _BENCHMARKS[name].choices_heading
    rows = [(f"{path} line {number}", row) for number, row in read_objects(path) if row.get("split", "test") == "test"]
    if not rows:
        raise TextError(f"{path} holds no question of the test part; give a file with one object a line")
    build = _abstract_item if "contexts" in rows[0][1] else _choice_item
    items = tuple(
        _checked(where, row, lambda r: build(r, template, mode, heading=heading)) for where, row in rows[:limit]
    )
    if len({item.id for item in items}) < len(items):
        raise TextError(f"{path} gives the same id to two questions; make them different")
    labels = WORDS if build is _abstract_item else prompts.LETTERS
    return Task(_short_name(name), labels, "acc", items)


def _short_name(name: str) -> str:
    return name if name in NAMES else Path(name).name.partition(".")[0]


def _checked(where: str, row: Mapping[str, Any], build: Callable[[Mapping[str, Any]], Item]) -> Item:
    try:
        return build(row)
    except (KeyError, TypeError, ValueError) as error:
        raise TextError(
            f"{where} is no benchmark question ({error!r}); it needs id, question, answer and options A-D or contexts"
        ) from error


def _choice_item(row: Mapping[str, Any], template: Template, mode: Mode, *, heading: bool) -> Item:
    question, options = str(row["question"]), row["options"]
    written = prompts.written_choice_prompt(question, options)
    prompt = written if mode == "generate" else prompts.choice_prompt(question, options, template, heading=heading)
    gold = prompts.LETTERS.index(row["answer"])
    return Item(str(row["id"]), prompt, prompts.LETTERS, gold, question)


def _abstract_item(row: Mapping[str, Any], template: Template, mode: Mode, *, heading: bool) -> Item:
    del heading
    question, contexts = str(row["question"]), [str(text) for text in row["contexts"]]
    written = prompts.written_abstract_prompt(question, contexts)
    prompt = written if mode == "generate" else prompts.abstract_prompt(question, contexts, template)
    return Item(str(row["id"]), prompt, WORDS, WORDS.index(row["answer"]), question)

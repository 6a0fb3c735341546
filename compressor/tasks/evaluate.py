"""One model on tasks: answers, numbers, and the listing of its errors."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.tasks.answers import Answer, answer_task
from compressor.tasks.items import LanguageModel, Mode, Task
from compressor.tasks.listing import explanation, tag_counts, write_errors
from compressor.tasks.summary import against, compared, summarise, verdict

Advance = Callable[[], None]


@dataclass(frozen=True)
class Evaluated:
    """What one model did: summaries for the report, answers to compare another model with, files it left."""

    summaries: dict[str, dict[str, Any]]
    answers: dict[str, list[Answer]]
    files: tuple[Path, ...]


def evaluate_tasks(
    model: LanguageModel,
    tasks: Sequence[Task],
    mode: Mode,
    *,
    dense: Mapping[str, Sequence[Answer]] | None = None,
    folder: Path | None = None,
    label: str = "",
    explanations: int = 0,
    advance: Advance = lambda: None,
) -> Evaluated:
    """Answer every task; `advance` is called once an item.

    `dense`: the dense model's answers to compare with. `folder`: answers are kept there as `items/LABEL-TASK.jsonl`, so that
    an interrupted evaluation continues, and wrong and fixed answers listed as `errors/LABEL-TASK.jsonl`; the first
    `explanations` wrong ones of each task are explained by the model itself.
    """
    summaries, answers, files = {}, {}, []
    for task in tasks:
        name = f"{_slug(label)}-{_slug(task.name)}.jsonl"
        kept = None if folder is None else folder / "items" / name
        found = answer_task(task, model, mode, kept, advance)
        before = None if dense is None else dense[task.name]
        summary = {**summarise(task, found, mode), "tags": tag_counts(task, found, before)}
        if before is None:
            summaries[task.name] = {**summary, "verdict": verdict(summary), "against_dense": None}
        else:
            summaries[task.name] = compared(summarise(task, before, mode), summary, against(before, found))
        answers[task.name] = found
        if folder is not None and kept is not None:
            errors = folder / "errors" / name
            write_errors(errors, task, found, before, _explained(model, task, found, explanations))
            files += [kept, errors]
    return Evaluated(summaries, answers, tuple(files))


def item_count(tasks: Sequence[Task]) -> int:
    """How often `evaluate_tasks` advances."""
    return sum(len(task.items) for task in tasks)


def _explained(model: LanguageModel, task: Task, answers: Sequence[Answer], count: int) -> dict[str, str | None]:
    wrong = [(item, answer) for item, answer in zip(task.items, answers, strict=True) if not answer.right]
    return {item.id: explanation(item, answer, model) for item, answer in wrong[:count]}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")

"""The wrong answers and those fixed against dense, one JSON line each: what was chosen, how sure, why by the model's own words,
and tags by rule."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compressor.storage import write_text
from compressor.tasks.answers import Answer
from compressor.tasks.items import Item, Task, Writer

LONG_VIGNETTE_WORDS = 100
EXPLANATION_TOKENS = 48
_ABBREVIATION = re.compile(r"\b(?=[A-Z0-9]*[A-Z]{2})(?![IVX]+\b)[A-Z][A-Z0-9]{1,5}s?\b")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|none|without|except|least|incorrect|false|untrue|cannot|contraindicated)\b|n't\b",
    re.I,
)
TAGS = ("abbreviation", "negation", "long vignette", "gold maybe")


def tags(item: Item) -> list[str]:
    """What makes a question hard, by rules that anyone can check; Roman numerals are no abbreviations."""
    found = {
        "abbreviation": bool(_ABBREVIATION.search(item.question)),
        "negation": bool(_NEGATION.search(item.question)),
        "long vignette": len(item.question.split()) > LONG_VIGNETTE_WORDS,
        "gold maybe": item.choices[item.gold] == "maybe",
    }
    return [tag for tag in TAGS if found[tag]]


def probabilities(answer: Answer) -> list[float] | None:
    """The choices' likelihoods scaled to 1; None where the answer was written."""
    if not answer.scores:
        return None
    peak = max(answer.scores)
    weights = [math.exp(score - peak) for score in answer.scores]
    return [round(weight / sum(weights), 6) for weight in weights]


def explanation(item: Item, answer: Answer, writer: Writer) -> str | None:
    """The model's own reason for its answer, greedily written; None where it gave no usable answer."""
    if answer.chosen is None:
        return None
    prompt = f"{item.prompt.rstrip()} {item.choices[answer.chosen]}\nExplanation:"
    return writer.complete(prompt, EXPLANATION_TOKENS, stop="\n\n").text.strip()


def write_errors(
    path: Path,
    task: Task,
    answers: Sequence[Answer],
    dense: Sequence[Answer] | None,
    explained: Mapping[str, str | None],
) -> None:
    """Write every wrong answer, and every right one where dense is wrong, to a JSONL file; `against_dense` says `fixed` or
    `broken` where the two differ in being right. Raises StorageError."""
    before = {answer.id: answer for answer in dense or ()}
    lines = []
    for item, answer in zip(task.items, answers, strict=True):
        change = _change(before.get(item.id), answer)
        if answer.right and change is None:
            continue
        row: dict[str, Any] = {
            "id": item.id,
            "gold": task.labels[item.gold],
            "chosen": None if answer.chosen is None else task.labels[answer.chosen],
            "written": answer.written,
            "probabilities": probabilities(answer),
            "tags": tags(item),
            "explanation": explained.get(item.id),
            "against_dense": change,
        }
        lines.append(json.dumps(row, ensure_ascii=False))
    write_text(path, "".join(f"{line}\n" for line in lines))


def _change(was: Answer | None, answer: Answer) -> str | None:
    if was is None or was.right == answer.right:
        return None
    return "fixed" if answer.right else "broken"


def tag_counts(task: Task, answers: Sequence[Answer], dense: Sequence[Answer] | None) -> dict[str, dict[str, int]]:
    """For each tag and for `all`: items, wrong answers, and those fixed or broken against dense."""
    before: Iterable[Answer | None] = dense if dense is not None else [None] * len(answers)
    counts = {tag: Counter({"items": 0, "wrong": 0, "fixed": 0, "broken": 0}) for tag in ("all", *TAGS)}
    for item, answer, was in zip(task.items, answers, before, strict=True):
        for tag in ("all", *tags(item)):
            counts[tag]["items"] += 1
            counts[tag]["wrong"] += not answer.right
            if was is not None:
                counts[tag]["fixed"] += _change(was, answer) == "fixed"
                counts[tag]["broken"] += _change(was, answer) == "broken"
    return {tag: dict(count) for tag, count in counts.items()}

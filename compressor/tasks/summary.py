"""A task's answers as numbers: against the gold answers, the majority class, and the dense model."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from compressor.tasks.answers import Answer, choose, matches_exactly
from compressor.tasks.items import Mode, Task
from compressor.tasks.metrics import (
    Matrix,
    accuracy,
    bootstrap_interval,
    class_scores,
    confusion_matrix,
    macro,
    majority_matrix,
    mcnemar_p,
    weighted,
    wilson_interval,
)

AT_CHANCE = "at chance"
ABOVE = "above majority"


def summarise(task: Task, answers: Sequence[Answer], mode: Mode) -> dict[str, Any]:
    """All metrics of one model on one task as plain values; shares lie between 0 and 1."""
    gold, chosen = [answer.gold for answer in answers], [answer.chosen for answer in answers]
    classes = len(task.labels)
    matrix = confusion_matrix(gold, chosen, classes)
    correct = sum(answer.right for answer in answers)
    return {
        "items": len(answers),
        "correct": correct,
        "metric": task.metric if mode == "likelihood" else "match",
        "accuracy": accuracy(matrix),
        "interval": wilson_interval(correct, len(answers)),
        **_by_mode(task, answers, mode),
        **_averages(matrix, task.labels),
        "weighted_f1_interval": bootstrap_interval(gold, chosen, classes, lambda m: _weighted_f1(m, task.labels)),
        "labels": list(task.labels),
        "confusion": matrix.tolist(),
        "per_class": [asdict(score) for score in class_scores(matrix, task.labels)],
        "majority": _majority(matrix, task.labels),
    }


def _by_mode(task: Task, answers: Sequence[Answer], mode: Mode) -> dict[str, Any]:
    pairs = list(zip(answers, task.items, strict=True))
    if mode == "generate":
        exact = sum(matches_exactly(answer, item) for answer, item in pairs)
        return {"exact_match": exact / max(1, len(pairs)), "no_answer": sum(a.chosen is None for a in answers)}
    return {
        metric: sum(choose(item, answer.scores, metric) == item.gold for answer, item in pairs) / max(1, len(pairs))
        for metric in ("acc", "acc_norm")
    }


def _averages(matrix: Matrix, labels: Sequence[str]) -> dict[str, Any]:
    scores = class_scores(matrix, labels)
    return {"macro": asdict(macro(scores)), "weighted": asdict(weighted(scores))}


def _weighted_f1(matrix: Matrix, labels: Sequence[str]) -> float:
    return weighted(class_scores(matrix, labels)).f1


def _majority(matrix: Matrix, labels: Sequence[str]) -> dict[str, Any]:
    constant = majority_matrix(matrix)
    label = labels[int(constant.sum(axis=0).argmax())]
    return {"label": label, "accuracy": accuracy(constant), **_averages(constant, labels)}


def verdict(summary: dict[str, Any]) -> str:
    """Whether a model's interval lies above the majority class's accuracy; if not, its score says nothing."""
    return ABOVE if summary["interval"][0] > summary["majority"]["accuracy"] else AT_CHANCE


def against(dense: Sequence[Answer], other: Sequence[Answer]) -> dict[str, Any]:
    """Items that `other` answers right where dense does not and the reverse, with the exact paired test."""
    pairs = list(zip(dense, other, strict=True))
    fixed = [after.id for before, after in pairs if after.right and not before.right]
    broken = [after.id for before, after in pairs if before.right and not after.right]
    return {"fixed": len(fixed), "broken": len(broken), "mcnemar_p": mcnemar_p(len(fixed), len(broken))}


def compared(dense: dict[str, Any], row: dict[str, Any], pairs: dict[str, Any]) -> dict[str, Any]:
    """`row` with the comparison to dense; where dense is at chance, no conclusion is drawn from it."""
    concluded = verdict(dense) == ABOVE
    return {**row, "verdict": verdict(row) if concluded else AT_CHANCE, "against_dense": pairs if concluded else None}

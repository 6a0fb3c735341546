"""The tables of answered questions: per task one row a model, the majority class below, the papers' figures beside."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from compressor.report.sections import ABSENT, Section, print_sections

ACCURACY_COLUMNS = ("model", "accuracy", "95% interval", "F1 weighted", "F1 macro", "against dense", "verdict")
"""`against dense`: questions it answers right and dense does not, the reverse, and the exact paired test (McNemar)."""
GENERATION_COLUMNS = ("model", "prompts of", "answers", "empty", "repeating", "unfinished", "cites right")
CITATION_COLUMNS = (
    "model",
    "questions",
    "cites right",
    "times dense's",
    "95% interval",
    "verdict",
    "verbatim",
    "false",
)
"""`times dense's`: how often the right passage is cited to how often the dense F16 file does, paired over the questions;
`false`: answers to questions whose passages hold none."""
LEAST_TO_DENSE = 0.95
"""A file should cite the right passage at least so many times as often as dense."""
PUBLISHED_COLUMNS = ("published", "MedQA, 4 options", "MedQA, 5 options", "MedMCQA", "PubMedQA")
_PUBLISHED_KEYS = ("medqa", "medqa_5_options", "medmcqa", "pubmedqa")


def task_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tasks that were asked, in the recipe's order."""
    return list(rows[0].get("tasks", {})) if rows else []


def accuracy_cells(rows: Sequence[Mapping[str, Any]], task: str) -> list[tuple[str, ...]]:
    """One row a model in the order of ACCURACY_COLUMNS, the majority class last. Where dense is at chance so are all."""
    majority = rows[0]["tasks"][task]["majority"]
    last = (
        f"always {majority['label']}",
        f"{majority['accuracy']:.1%}",
        ABSENT,
        f"{majority['weighted']['f1']:.3f}",
        f"{majority['macro']['f1']:.3f}",
        ABSENT,
        ABSENT,
    )
    return [*(_accuracy(str(row["label"]), row["tasks"][task]) for row in rows), last]


def _accuracy(label: str, summary: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = summary["interval"]
    pairs = summary["against_dense"]
    against = ABSENT if pairs is None else f"+{pairs['fixed']} −{pairs['broken']} p {pairs['mcnemar_p']:.3f}"
    return (
        label,
        f"{summary['accuracy']:.1%}",
        f"{low:.1%}–{high:.1%}",
        f"{summary['weighted']['f1']:.3f}",
        f"{summary['macro']['f1']:.3f}",
        against,
        str(summary["verdict"]),
    )


def generation_cells(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row a model and kind of prompt in the order of GENERATION_COLUMNS."""
    return [
        (
            str(row["label"]),
            kind,
            str(found["prompts"]),
            f"{found['empty']:.0%}",
            f"{found['repeating']:.0%}",
            f"{found['unfinished']:.0%}",
            ABSENT if found["cites_right"] is None else f"{found['cites_right']:.0%}",
        )
        for row in rows
        for kind, found in row.get("generation", {}).items()
    ]


def citation_cells(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row a model in the order of CITATION_COLUMNS."""
    return [
        (
            str(row["label"]),
            str(row["citations"]["questions"]),
            f"{row['citations']['first_citation_right']:.1%}",
            *_to_dense(row["citations"]["to_dense"]),
            f"{row['citations']['first_sentence_verbatim']:.1%}",
            f"{row['citations']['false_answers']:.1%}",
        )
        for row in rows
        if "citations" in row
    ]


def _to_dense(ratio: Sequence[float] | None) -> tuple[str, str, str]:
    if ratio is None:
        return ABSENT, ABSENT, ABSENT
    value, low, high = ratio
    return (
        f"{value:.3f}",
        f"{low:.3f}–{high:.3f}",
        f"{'met' if value >= LEAST_TO_DENSE else 'not met'} (≥ {LEAST_TO_DENSE})",
    )


def published_cells(published: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The papers' rows in the order of PUBLISHED_COLUMNS, in percent."""
    return [
        (
            f"{row['label']}; {row['note']}" if row["note"] else str(row["label"]),
            *(f"{row['accuracy'][key]:.2f}%" if key in row["accuracy"] else ABSENT for key in _PUBLISHED_KEYS),
        )
        for row in published
    ]


def accuracy_sections(rows: Sequence[Mapping[str, Any]], published: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Title, columns and rows of every table that the rows have something for."""
    sections: list[Section] = [
        (f"{task}, {rows[0]['tasks'][task]['items']} questions", ACCURACY_COLUMNS, accuracy_cells(rows, task))
        for task in task_names(rows)
    ]
    sections += [
        ("Answers in words", GENERATION_COLUMNS, generation_cells(rows)),
        ("Citations, MedQuAD", CITATION_COLUMNS, citation_cells(rows)),
        ("Published accuracy", PUBLISHED_COLUMNS, published_cells(published)),
    ]
    return [section for section in sections if section[2]]


def print_accuracy(rows: Sequence[Mapping[str, Any]], published: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The same tables on the terminal."""
    print_sections(accuracy_sections(rows, published), console)

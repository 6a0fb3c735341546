"""The whole path from questions to table with scorers that always or never prefer the gold answer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from compressor.report.accuracy import accuracy_cells, accuracy_sections
from compressor.tasks.answers import choose, match_choice
from compressor.tasks.benchmarks import NAMES, read_task
from compressor.tasks.evaluate import evaluate_tasks, item_count
from compressor.tasks.items import Completion, Item, Mode, Question, Task
from compressor.tasks.listing import tags
from compressor.tasks.published import published_rows
from models.errors import TextError
from tests.compressor.tasks.questions import write_benchmarks


class Oracle:
    """Knows the answers of some tasks; prefers the gold one, or the one `shift` places on."""

    def __init__(self, tasks: Sequence[Task], shift: int = 0) -> None:
        self._wanted = {
            item.prompt: item.choices[(item.gold + shift) % len(item.choices)] for t in tasks for item in t.items
        }
        self.calls = 0

    def loglikelihoods(self, questions: Sequence[Question]) -> list[list[float]]:
        self.calls += 1
        return [
            [0.0 if choice == self._wanted[prompt] else -9.0 * len(choice) for choice in choices]
            for prompt, choices in questions
        ]

    def complete(self, prompt: str, max_tokens: int, stop: str | None = None) -> Completion:
        assert max_tokens > 0
        return Completion(f" {self._wanted.get(prompt, 'because')} ", stop is not None)

    def answer(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Completion | None:
        del messages, max_tokens
        return None


def all_tasks(data: Path, mode: Mode = "likelihood", limit: int | None = None) -> list[Task]:
    names = [name for name in NAMES if mode == "likelihood" or name != "retention"]
    return [read_task(name, data, template="lm-eval", mode=mode, limit=limit) for name in names]


@pytest.mark.parametrize("mode", ["likelihood", "generate"])
def test_a_model_that_prefers_the_gold_scores_everything_and_another_nothing(tmp_path: Path, mode: Mode) -> None:
    tasks = all_tasks(write_benchmarks(tmp_path), mode)
    right = evaluate_tasks(Oracle(tasks), tasks, mode)
    wrong = evaluate_tasks(Oracle(tasks, 1), tasks, mode, dense=right.answers)
    for task in tasks:
        perfect, failed = right.summaries[task.name], wrong.summaries[task.name]
        assert perfect["correct"] == perfect["items"] == len(task.items) >= 8
        assert (perfect["accuracy"], failed["accuracy"]) == (1.0, 0.0)
        assert (perfect["weighted"]["f1"], failed["weighted"]["f1"]) == (1.0, 0.0)
        assert perfect["verdict"] == "above majority"
        assert failed["verdict"] == "at chance"
        assert failed["against_dense"] == {
            "fixed": 0, "broken": len(task.items), "mcnemar_p": pytest.approx(2 / 2 ** len(task.items)),
        }  # fmt: skip
    if mode == "generate":
        assert {summary["exact_match"] for summary in right.summaries.values()} == {1.0}


def test_where_dense_is_at_chance_nothing_is_concluded(tmp_path: Path) -> None:
    tasks = all_tasks(write_benchmarks(tmp_path))
    dense = evaluate_tasks(Oracle(tasks, 1), tasks, "likelihood")
    better = evaluate_tasks(Oracle(tasks), tasks, "likelihood", dense=dense.answers)
    rows = [{"label": "dense", "tasks": dense.summaries}, {"label": "pruned", "tasks": better.summaries}]
    for task in tasks:
        *models, majority = accuracy_cells(rows, task.name)
        assert [cells[-1] for cells in models] == ["at chance", "at chance"]
        assert [cells[5] for cells in models] == ["–", "–"]
        assert majority[0].startswith("always ")
    assert [title for title, _, _ in accuracy_sections(rows, [])] == [
        f"{t.name}, {len(t.items)} questions" for t in tasks
    ]


def test_a_killed_evaluation_continues_after_its_last_whole_answer(tmp_path: Path) -> None:
    tasks = all_tasks(write_benchmarks(tmp_path / "data"))
    count = item_count(tasks)
    whole = evaluate_tasks(Oracle(tasks), tasks, "likelihood", folder=tmp_path / "a", label="dense F16")
    kept = tmp_path / "a" / "items" / "dense-f16-medqa.jsonl"
    content = kept.read_bytes()
    kept.write_bytes(content[: content.rfind(b'{"id"') + 20])
    again = Oracle(tasks)
    second = evaluate_tasks(again, tasks, "likelihood", folder=tmp_path / "a", label="dense F16")
    assert again.calls == 1
    assert kept.read_bytes() == content
    assert second == whole
    assert count == sum(len(found) for found in whole.answers.values())


def test_errors_are_listed_with_tags_and_reasons(tmp_path: Path) -> None:
    tasks = all_tasks(write_benchmarks(tmp_path / "data"))
    dense = evaluate_tasks(Oracle(tasks), tasks, "likelihood")
    wrong = evaluate_tasks(
        Oracle(tasks, 1), tasks, "likelihood", dense=dense.answers, folder=tmp_path, label="pruned", explanations=2
    )
    listed = [json.loads(line) for line in (tmp_path / "errors" / "pruned-pubmedqa.jsonl").read_text().splitlines()]
    assert len(listed) == len(tasks[2].items)
    assert {tuple(row) for row in listed} == {
        ("id", "gold", "chosen", "written", "probabilities", "tags", "explanation", "against_dense")
    }
    assert [row["explanation"] for row in listed[:3]] == ["because", "because", None]
    assert all(row["against_dense"] == "broken" and row["gold"] != row["chosen"] for row in listed)
    assert all(sum(row["probabilities"]) == pytest.approx(1, abs=1e-5) for row in listed)
    counts = wrong.summaries["pubmedqa"]["tags"]
    maybes = sum(item.gold == 2 for item in tasks[2].items)
    assert counts["gold maybe"] == {"items": maybes, "wrong": maybes, "fixed": 0, "broken": maybes}
    assert sorted(path.parent.name for path in wrong.files) == ["errors"] * 4 + ["items"] * 4


def test_what_dense_got_wrong_and_this_model_right_is_listed_as_fixed(tmp_path: Path) -> None:
    tasks = [task for task in all_tasks(write_benchmarks(tmp_path / "data")) if task.name == "medqa"]
    (task,) = tasks
    half = [replace(task, items=task.items[:4]), replace(task, items=task.items[4:])]
    right, wrong = (
        [evaluate_tasks(Oracle([t], shift), [t], "likelihood").answers["medqa"] for t in half] for shift in (0, 1)
    )
    dense = {"medqa": [*wrong[0][:3], *right[0][3:], *right[1]]}
    evaluate_tasks(Oracle(tasks), tasks, "likelihood", dense=dense, folder=tmp_path / "good", label="a")
    listed = [json.loads(line) for line in (tmp_path / "good" / "errors" / "a-medqa.jsonl").read_text().splitlines()]
    assert [(row["id"], row["against_dense"]) for row in listed] == [(item.id, "fixed") for item in task.items[:3]]
    assert all(row["gold"] == row["chosen"] for row in listed)
    evaluate_tasks(Oracle(tasks, 1), tasks, "likelihood", dense=dense, folder=tmp_path / "bad", label="a")
    listed = [json.loads(line) for line in (tmp_path / "bad" / "errors" / "a-medqa.jsonl").read_text().splitlines()]
    assert [row["against_dense"] for row in listed] == [None] * 3 + ["broken"] * 5


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which sign points to COPD?", ["abbreviation"]),
        ("Which is NOT a sign of gout, type II?", ["abbreviation", "negation"]),
        ("All are true except which?", ["negation"]),
        ("Which cranial nerve, VII or VIII?", []),
        ("word " * 101, ["long vignette"]),
        ("What is knotted?", []),
    ],
)
def test_tags_by_rule(question: str, expected: list[str]) -> None:
    assert tags(Item("1", "", ("A", "B"), 0, question)) == expected


def test_acc_norm_divides_by_characters() -> None:
    """lm-eval: the choice's own characters, without the space before it."""
    item = Item("1", "", ("long answer", "no"), 0, "")
    assert choose(item, (-11.0, -3.0), "acc") == 1
    assert choose(item, (-11.0, -3.0), "acc_norm") == 0
    assert choose(item, (-5.0, -5.0), "acc") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A", 0), (" b.", 1), ("(C) because", 2), ("D\n", 3), ("", None), ("Answer A", None), ("AB", None)],
)
def test_written_answers_match_by_their_first_word(text: str, expected: int | None) -> None:
    assert match_choice(text, ("A", "B", "C", "D")) == expected


def test_only_the_papers_recipes_have_published_rows() -> None:
    assert published_rows("reference-50") == []
    assert [row.accuracy for row in published_rows("llama-3-8b-67-meadow")] == [
        {"medqa": 20.55, "medmcqa": 30.98, "pubmedqa": 70.30},
        {"medqa": 20.59, "medmcqa": 29.45, "pubmedqa": 43.15},
    ]
    assert all("medqa" not in row.accuracy for row in published_rows("mistral-7b-q4"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"id": 1, "question": "q", "answer": "E", "options": {"A": "", "B": "", "C": "", "D": ""}}', "line 1 is no"),
        ('{"id": 1, "question": "q", "answer": "A"}', "line 1 is no"),
        ("[1]", "line 1 is not a JSON object"),
        ('{"split": "train"}', "no question of the test part"),
    ],
)
def test_files_that_hold_no_questions_are_one_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(line + "\n", "utf-8")
    with pytest.raises(TextError, match=complaint):
        read_task(str(path), None, template="lm-eval", mode="likelihood", limit=None)


def test_a_task_without_its_folder_says_how_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="--data DIR"):
        read_task("medqa", None, template="lm-eval", mode="likelihood", limit=None)
    with pytest.raises(TextError, match="missing"):
        read_task("medqa", tmp_path, template="lm-eval", mode="likelihood", limit=None)

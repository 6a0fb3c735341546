"""Prompts letter for letter."""

from pathlib import Path

from compressor.examples.corpora import read_sections
from compressor.tasks import prompts
from compressor.tasks.benchmarks import read_task
from compressor.tasks.retention import build_items
from tests.compressor.tasks.questions import write_benchmarks

OPTIONS = {"A": "one", "B": "two", "C": "three", "D": "four"}


def test_lm_eval_prompts() -> None:
    assert prompts.choice_prompt("Q?", OPTIONS, "lm-eval", heading=False) == (
        "Question: Q?\nA. one\nB. two\nC. three\nD. four\nAnswer:"
    )
    assert prompts.choice_prompt("Q?", OPTIONS, "lm-eval", heading=True) == (
        "Question: Q?\nChoices:\nA. one\nB. two\nC. three\nD. four\nAnswer:"
    )
    assert prompts.abstract_prompt("Q?", ["x", "y"], "lm-eval") == "Abstract: x\ny\nQuestion: Q?\nAnswer:"


def test_the_second_papers_prompts() -> None:
    assert prompts.abstract_prompt("Q?", ["x", "y"], "context") == "Context: x y Question: Q? Answer:"
    assert prompts.choice_prompt("Q?", OPTIONS, "context", heading=True) == (
        "Context: A. one B. two C. three D. four Question: Q? Answer:"
    )


def test_lighteval_prompts() -> None:
    assert prompts.written_choice_prompt("Q?", OPTIONS) == (
        "Give a letter answer among A, B, C or D.\nQuestion: Q?\nA. one\nB. two\nC. three\nD. four\nAnswer:"
    )
    assert prompts.written_abstract_prompt("Q?", ["x", "y"]) == "Q?\nx\ny\nAnswer: "


def test_tasks_take_their_own_form(tmp_path: Path) -> None:
    data = write_benchmarks(tmp_path)
    shown = {
        name: read_task(name, data, template="lm-eval", mode="likelihood", limit=1).items[0].prompt
        for name in ("medqa", "medmcqa", "pubmedqa")
    }
    assert ["Choices:" in prompt for prompt in shown.values()] == [False, True, False]
    assert shown["pubmedqa"].startswith("Abstract: ")
    own = read_task(
        str(data / "benchmarks" / "medqa_4options_test.jsonl.gz"), None, template="lm-eval", mode="likelihood", limit=1
    )
    assert own.items[0].prompt == shown["medqa"]
    assert own.name == "medqa_4options_test"


def test_only_the_official_test_part_of_pubmedqa_is_asked(tmp_path: Path) -> None:
    task = read_task("pubmedqa", write_benchmarks(tmp_path, 5), template="lm-eval", mode="likelihood", limit=None)
    assert [item.id for item in task.items] == ["0", "1", "2", "3", "4"]
    assert [item.gold for item in task.items] == [0, 1, 2, 0, 1]


def test_retention_items_are_fair(tmp_path: Path) -> None:
    sections = read_sections(write_benchmarks(tmp_path), "medquad", "valid")
    items = build_items(sections, "lm-eval")
    by_question = {section.question: section for section in sections}
    assert len(items) == len(sections) == 16
    assert [item.gold for item in items] == [0, 1, 2, 3] * 4
    for item in items:
        section = by_question[item.question]
        assert item.prompt == f"Question: {section.question}\nAnswer:"
        assert len(set(item.choices)) == 4
        assert item.choices[item.gold].startswith(section.sentences[0])
        assert max(len(choice) for choice in item.choices) <= 400
    assert build_items(list(reversed(sections)), "lm-eval") == items

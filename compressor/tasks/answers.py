"""A model's answers to a task, one JSON line an item, so that an interrupted evaluation continues where it was."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from compressor.storage import disk_errors
from compressor.tasks.items import Item, LanguageModel, Metric, Mode, Scorer, Task, Writer

BLOCK_ITEMS = 32
"""Items that are weighed together. Rounding depends on what stands in a batch with an item, so that a block of which a kill
left a part is weighed whole again: the answers are those of an undisturbed run."""
_WRITTEN_TOKENS = 5
"""LightEval's limit for letters; pubmedqa there has one token, in which not every tokenizer fits `maybe`."""


@dataclass(frozen=True)
class Answer:
    """What a model chose."""

    id: str
    gold: int
    chosen: int | None
    """By the task's metric; None where the model wrote no usable answer."""
    scores: tuple[float, ...]
    """Log-likelihood of each choice in nats; empty where the model wrote its answer."""
    written: str | None = None

    @property
    def right(self) -> bool:
        """Whether the gold choice was taken."""
        return self.chosen == self.gold


def answer_task(
    task: Task, model: LanguageModel, mode: Mode, kept: Path | None, advance: Callable[[], None]
) -> list[Answer]:
    """All answers in the task's order. Those already in the file `kept` are read, the others appended to it."""
    finished = _read(kept) if kept is not None else {}
    answers: list[Answer] = []
    size = BLOCK_ITEMS if mode == "likelihood" else 1
    for begin in range(0, len(task.items), size):
        block = task.items[begin : begin + size]
        if any(item.id not in finished for item in block):
            fresh = [answer for answer in _answer_block(block, task, model, mode) if answer.id not in finished]
            if kept is not None:
                _append(kept, fresh)
            finished |= {answer.id: answer for answer in fresh}
        answers += [finished[item.id] for item in block]
        for _ in block:
            advance()
    return answers


def _answer_block(items: Sequence[Item], task: Task, model: LanguageModel, mode: Mode) -> list[Answer]:
    if mode == "generate":
        return [written_answer(item, model) for item in items]
    return likeliest(items, model, task.metric)


def likeliest(items: Sequence[Item], scorer: Scorer, metric: Metric) -> list[Answer]:
    """For each item the choice of largest log-likelihood, or of largest per character of the choice; the first of equals."""
    found = scorer.loglikelihoods([(item.prompt, item.choices) for item in items])
    return [
        Answer(item.id, item.gold, choose(item, scores, metric), tuple(scores))
        for item, scores in zip(items, found, strict=True)
    ]


def choose(item: Item, scores: Sequence[float], metric: Metric) -> int:
    """The index of the best choice by `acc` or `acc_norm`."""
    lengths = [len(choice) if metric == "acc_norm" else 1 for choice in item.choices]
    values = [score / length for score, length in zip(scores, lengths, strict=True)]
    return values.index(max(values))


def written_answer(item: Item, writer: Writer) -> Answer:
    """What the model writes up to the end of the line, matched with the choices."""
    text = writer.complete(item.prompt, _WRITTEN_TOKENS, stop="\n").text
    return Answer(item.id, item.gold, match_choice(text, item.choices), (), text)


def match_choice(text: str, choices: Sequence[str]) -> int | None:
    """The choice that the text's first word is, whatever its case and the signs around it; None where it is none."""
    word = re.search(r"\w+", text)
    names = [choice.casefold() for choice in choices]
    return names.index(word.group().casefold()) if word and word.group().casefold() in names else None


def matches_exactly(answer: Answer, item: Item) -> bool:
    """LightEval's exact match: both stripped, then equal, so that `A.` does not count."""
    return answer.written is not None and answer.written.strip() == item.choices[item.gold]


def _append(path: Path, answers: Sequence[Answer]) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as handle:
            handle.writelines(json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers)


def _read(path: Path) -> dict[str, Answer]:
    """The answers of whole lines; what a kill left of a last line is cut off."""
    if not path.is_file():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as handle:
            handle.truncate(len(whole))
    rows = [json.loads(line) for line in whole.decode("utf-8").split("\n") if line]
    return {row["id"]: Answer(**{**row, "scores": tuple(row["scores"])}) for row in rows}

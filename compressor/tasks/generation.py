"""What a model writes: empty answers, loops, and whether it cites the right passage."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from compressor.examples.corpora import read_sections
from compressor.examples.grounded import Example
from compressor.examples.scores import (
    Answer,
    GroundedScores,
    circles,
    cites_right,
    evaluation_examples,
    first_mark,
    score,
)
from compressor.grounded import grounded_examples
from compressor.tasks.gguf import GgufModel
from compressor.tasks.items import Completion, Task, Writer
from compressor.tasks.metrics import paired_ratio
from models.starter import split_notes

ANSWER_TOKENS = 96
GROUNDED_TOKENS = 200
PASSAGES = 4
_SEED = 11
Advance = Callable[[], None]


@dataclass(frozen=True)
class Written:
    """Answers to prompts of one kind; shares lie between 0 and 1."""

    prompts: int
    """Those that fit the context."""
    empty: float
    repeating: float
    """Some run of four words stands there more than twice."""
    unfinished: float
    """Cut off at the token limit."""
    cites_right: float | None
    """First citation right, over the prompts whose passages hold the answer; None where nothing is cited."""


def check_generation(model: Writer, tasks: Sequence[Task], count: int, advance: Advance) -> dict[str, Any]:
    """`count` grounded prompts on the starter notes kept for evaluation, and as many questions of each task."""
    found = {"starter": asdict(grounded_answers(model, count, advance))}
    for task in tasks:
        answers = []
        for item in task.items[:count]:
            answers.append(model.answer([{"role": "user", "content": item.prompt}], ANSWER_TOKENS))
            advance()
        found[task.name] = asdict(_written(answers, None))
    return found


def check_count(tasks: Sequence[Task], count: int) -> int:
    """How often `check_generation` advances."""
    return count + sum(min(count, len(task.items)) for task in tasks)


def grounded_answers(model: Writer, count: int, advance: Advance = lambda: None) -> Written:
    """Greedy answers to grounded prompts on the starter notes that nothing was calibrated on."""
    answers: list[Completion | None] = []
    cited: list[bool] = []
    for *prompt, expected in islice(grounded_examples(split_notes()[1], _SEED), count):
        answer = model.answer(prompt, ANSWER_TOKENS)
        answers.append(answer)
        gold = first_mark(expected["content"])
        if answer is not None and gold is not None:
            cited.append(first_mark(answer.text) == gold)
        advance()
    return _written(answers, sum(cited) / len(cited) if cited else None)


def _written(answers: Sequence[Completion | None], cites_right: float | None) -> Written:
    present = [answer for answer in answers if answer is not None]

    def share(hits: int) -> float:
        return hits / len(present) if present else 0.0

    return Written(
        prompts=len(present),
        empty=share(sum(not answer.text.strip() for answer in present)),
        repeating=share(sum(circles(answer.text) for answer in present)),
        unfinished=share(sum(not answer.ended for answer in present)),
        cites_right=cites_right,
    )


@dataclass(frozen=True)
class Citations:
    """One file's citations."""

    scores: GroundedScores
    right: tuple[bool, ...]
    """For each answerable question, in the same order for every file, whether its first citation is right."""

    def to_json(self, dense: "Citations | None") -> dict[str, Any]:
        """The shares by name; where dense was asked the same questions, how often this file cites right to how often it does."""
        ratio = None if dense is None else paired_ratio(self.right, dense.right)
        return {**self.scores.to_json(), "to_dense": ratio}


def citation_scores(path: Path, data: Path, questions: int = 300, advance: Advance = lambda: None) -> Citations:
    """The model card's grounded questions, on a GGUF file: MedQuAD valid, four passages, greedy.

    `first_citation_right` is the share to compare between files. Raises TextError, RuntimeFailure.
    """
    sections = read_sections(data, "medquad", "valid")
    answerable = evaluation_examples(sections, questions, PASSAGES, _SEED, answered=True)
    unanswerable = evaluation_examples(sections, questions // 3, PASSAGES, _SEED + 1, answered=False)
    right: list[bool] = []
    with GgufModel(path) as model:

        def ask(example: Example) -> Answer:
            said = model.answer(example.messages(), GROUNDED_TOKENS)
            advance()
            answer = Answer("", False) if said is None else Answer(said.text, said.ended)
            if len(right) < len(answerable):  # `score` asks these first
                right.append(cites_right(example, answer))
            return answer

        return Citations(score(answerable, unanswerable, ask), tuple(right))


def citation_count(questions: int) -> int:
    """How often `citation_scores` advances at most: a third as many questions have no answer."""
    return questions + questions // 3

"""What a model writes: empty answers, loops, and whether it cites the right passage."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from compressor.examples.corpora import read_sections
from compressor.examples.grounded import Example
from compressor.examples.scores import Answer, GroundedScores, circles, evaluation_examples, first_mark, score
from compressor.grounded import grounded_examples
from compressor.tasks.gguf import GgufModel
from compressor.tasks.items import Completion, Task, Writer
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


def citation_scores(path: Path, data: Path, questions: int = 300, advance: Advance = lambda: None) -> GroundedScores:
    """The model card's grounded questions, on a GGUF file: MedQuAD valid, four passages, greedy.

    `first_citation_right` is the share to compare between files. Raises TextError, RuntimeFailure.
    """
    sections = read_sections(data, "medquad", "valid")
    answerable = evaluation_examples(sections, questions, PASSAGES, _SEED, answered=True)
    unanswerable = evaluation_examples(sections, questions // 3, PASSAGES, _SEED + 1, answered=False)
    with GgufModel(path) as model:

        def ask(example: Example) -> Answer:
            said = model.answer(example.messages(), GROUNDED_TOKENS)
            advance()
            return Answer("", False) if said is None else Answer(said.text, said.ended)

        return score(answerable, unanswerable, ask)


def citation_count(questions: int) -> int:
    """How often `citation_scores` advances at most: a third as many questions have no answer."""
    return questions + questions // 3


def citation_rate(path: Path, data: Path, questions: int = 300, advance: Advance = lambda: None) -> float:
    """Share of answerable questions whose first citation is right, as `citation_scores` counts it."""
    return citation_scores(path, data, questions, advance).first_citation_right

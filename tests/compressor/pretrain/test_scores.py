"""Scores of answers whose right score is known by construction."""

from pathlib import Path

import pytest

from compressor.examples.corpora import read_sections
from compressor.examples.grounded import Example
from compressor.examples.scores import Answer, evaluation_examples, score
from models.grounding import NO_ANSWER, Passage

GOLD = Passage("Maple fever", "Symptoms", "Maple fever begins with shivering at night.")
OTHER = Passage("Birch syndrome", "Symptoms", "Birch syndrome begins with a rash on the arms.")
ASKED = Example("What are the symptoms of Maple fever?", (OTHER, GOLD), 1, (2,), "")
UNANSWERED = Example("What causes Maple fever?", (OTHER,), 1, (), NO_ANSWER)


def test_a_perfect_reader_scores_one() -> None:
    text = "Maple fever: Symptoms\nMaple fever begins with shivering at night. [2]"
    said = {ASKED: Answer(text, ended=True), UNANSWERED: Answer(NO_ANSWER, ended=True)}
    found = score([ASKED], [UNANSWERED], said.__getitem__)
    assert (found.first_citation_right, found.first_sentence_verbatim, found.names_focus, found.good) == (1, 1, 1, 1)
    assert found.false_answers == 0
    assert (found.always_first, found.most_words_in_common) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "cited", "verbatim", "good"),
    [
        (Answer("Maple fever: Symptoms\nMaple fever begins with shivering at night. [1]", True), 0, 1, 0),
        (Answer("Maple fever: Symptoms\nMaple fever begins with sneezing. [2]", True), 1, 0, 1),
        (Answer("Maple fever: Symptoms\nMaple fever begins with shivering at night. [2]", False), 1, 1, 0),
        (Answer("Maple fever [2] " + "a b c d " * 3, True), 1, 0, 0),
        (Answer("Symptoms [2]", True), 1, 0, 0),
        (Answer("", True), 0, 0, 0),
    ],
)
def test_each_fault_costs_its_measure(answer: Answer, cited: int, verbatim: int, good: int) -> None:
    found = score([ASKED], [], lambda _: answer)
    assert (found.first_citation_right, found.first_sentence_verbatim, found.good) == (cited, verbatim, good)


def test_anything_but_the_admission_is_a_false_answer() -> None:
    assert score([ASKED], [UNANSWERED], lambda _: Answer("It is a spore. [1]", True)).false_answers == 1


def test_evaluation_keeps_the_questions_as_they_stand(data: Path) -> None:
    sections = read_sections(data, "medquad", "valid")
    examples = evaluation_examples(sections, 8, 4, 3, answered=True)
    assert [example.question for example in examples] == [section.question for section in sections[:8]]
    assert all(len(example.passages) == 4 and example.note is None for example in examples)
    assert len({example.gold for example in examples}) > 1

"""The evidence status: from the passages before the answer, and from its checks after it."""

import pytest

from assistant.knowledge.citations import check_answer
from assistant.knowledge.evidence import Evidence, evidence_of_answer, evidence_of_passages
from models.grounding import NO_ANSWER, Passage

CROUP = Passage(
    "Croup",
    "Treatment",
    "Give dexamethasone 0.15 mg/kg once by mouth. Keep the child calm. Do not examine the throat with a spatula. Nebulised"
    " adrenaline helps within 30 minutes. Watch the child for two hours after it.",
)
GOOD = [
    "Give dexamethasone 0.15 mg/kg once by mouth. [1]",
    "Keep the child calm. [1]",
    "The throat should not be examined with a spatula. [1]",
    "Nebulised adrenaline helps within 30 minutes. [1]",
]


def judged(*sentences: str, found: Evidence = "sufficient", question: str = "How is croup treated?") -> Evidence:
    text = " ".join(sentences)
    return evidence_of_answer(found, question, text, check_answer(text, [CROUP]))


@pytest.mark.parametrize(
    ("question", "evidence"),
    [
        ("How is croup treated?", "sufficient"),
        ("Which dose of dexamethasone by mouth for a child?", "sufficient"),
        ("And why?", "sufficient"),
        ("Laser surgery of retinal detachment in diabetic maculopathy?", "insufficient"),
        ("Laser surgery of retinal detachment in a child with diabetic maculopathy?", "insufficient"),
    ],
)
def test_passages_promise_as_much_as_they_hold_of_the_question(question: str, evidence: str) -> None:
    assert evidence_of_passages(question, [CROUP]) == evidence
    assert evidence_of_passages(question, []) == "out_of_scope"


def test_supported_sentences_suffice() -> None:
    assert judged(*GOOD) == "sufficient"


@pytest.mark.parametrize(
    "grave",
    [
        "Give dexamethasone 1.5 mg/kg once by mouth. [1]",
        "Give dexamethasone 0.15 g/kg once by mouth. [1]",
        "Give prednisolone 0.15 mg/kg once by mouth. [1]",
        "Examine the throat with a spatula. [1]",
    ],
)
def test_one_grave_sentence_spoils_any_answer(grave: str) -> None:
    assert judged(*GOOD, *GOOD, *GOOD, grave) == "insufficient"


def test_one_unsupported_sentence_in_five_is_borne_and_one_in_four_is_not() -> None:
    assert judged(*GOOD, "The weather matters too.") == "sufficient"
    assert judged(*GOOD[1:], "The weather matters too.") == "insufficient"


def test_an_answer_never_makes_it_better() -> None:
    assert judged(*GOOD, found="insufficient") == "insufficient"
    assert judged(*GOOD, found="out_of_scope") == "out_of_scope"


def test_an_answer_that_turned_in_circles_is_insufficient() -> None:
    text = " ".join(GOOD)
    assert (
        evidence_of_answer("sufficient", "Croup?", text, check_answer(text, [CROUP]), in_circles=True) == "insufficient"
    )


def test_no_answer_is_insufficient() -> None:
    assert judged(NO_ANSWER) == judged("") == judged("Croup: Treatment") == "insufficient"
    assert judged(NO_ANSWER, *GOOD) == "insufficient"


@pytest.mark.parametrize(
    "question",
    [
        "croup dexamethasone dose",
        "Croup dose?",
        "what dose?",
        "max dose dexamethasone 24h",
        "How much dexamethasone for croup?",
        "How many mg of dexamethasone?",
    ],
)
def test_a_dose_that_was_asked_for_must_be_said(question: str) -> None:
    assert judged(*GOOD, question=question) == "sufficient"
    # `Within 30 minutes` is a quantity, and no dose.
    assert judged(*GOOD[1:], question=question) == "insufficient"
    assert judged("Keep the child calm. [1]", "Give dexamethasone. [1]", question=question) == "insufficient"


@pytest.mark.parametrize(
    "question",
    [
        "How often is adrenaline given in croup?",
        "How soon does a dose of adrenaline help?",
        "metformin eGFR cutoff",
        "Which level of potassium is too high?",
        "target INR",
        "What is the normal range?",
        "At what age does it occur, and how many get it?",
    ],
)
def test_a_quantity_that_was_asked_for_must_be_said(question: str) -> None:
    assert judged(GOOD[3], question=question) == "sufficient"
    assert judged(GOOD[1], GOOD[2], question=question) == "insufficient"


@pytest.mark.parametrize(
    "question",
    ["Should the dose be lowered in croup?", "Is a dose enough?", "A missed dose: what now?", "Why check the level?"],
)
def test_a_question_on_a_dose_need_not_ask_for_one(question: str) -> None:
    assert judged(GOOD[1], GOOD[2], question=question) == "sufficient"


def test_a_quantity_in_an_unsupported_sentence_is_none() -> None:
    unsupported = "Adrenaline is named for a gland of 5 g."
    assert judged(GOOD[1], GOOD[2], GOOD[1], GOOD[2], unsupported, question="Croup dose?") == "insufficient"


@pytest.mark.parametrize(
    "echo", ["Croup treated?", "Croup: Treatment", "Treatment of croup", "How is croup treated?", "Croup treated."]
)
def test_an_echo_of_the_question_supports_nothing(echo: str) -> None:
    assert judged(echo) == judged(f"{echo} [1]") == "insufficient"


def test_a_number_that_names_a_day_is_no_quantity() -> None:
    passage = Passage("INR", "Monitoring", "The INR is checked on day 3. The target is 2.5.")
    for text, evidence in (
        ("The INR is checked on day 3. [1]", "insufficient"),
        ("The target is 2.5. [1]", "sufficient"),
    ):
        assert evidence_of_answer("sufficient", "target INR", text, check_answer(text, [passage])) == evidence

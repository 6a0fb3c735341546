"""What earlier turns lend a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.conversation import in_conversation, names_subject, without_courtesy

ASTHMA = "How is asthma treated?"


@pytest.mark.parametrize(
    "question",
    ["And in children?", "What about in pregnancy?", "Side effects?", "And in renal impairment?", "How is it treated?"],
)
def test_a_question_without_its_own_subject_is_read_with_the_one_before(question: str) -> None:
    assert in_conversation(question, [ASTHMA]).text == f"{question}\n{ASTHMA}"


def test_it_rests_on_all_turns_back_to_one_that_names_a_subject() -> None:
    asked = in_conversation("And the dose?", ["Signs of croup?", ASTHMA, "And in children?"])
    assert asked.text == f"And the dose?\nAnd in children?\n{ASTHMA}"


@pytest.mark.parametrize("question", ["And salbutamol?", "What about psoriasis?"])
def test_one_that_adds_a_subject_leans_on_the_one_before(question: str) -> None:
    asked = in_conversation(question, [ASTHMA])
    assert (asked.text, asked.context, asked.instead) == (question, ASTHMA, "")
    assert asked.weight > in_conversation("Which antibiotic for cystitis?", [ASTHMA]).weight > 0


def test_a_pronoun_may_stand_for_the_subject() -> None:
    asked = in_conversation("Is it contagious?", [ASTHMA])
    assert asked.text == f"Is it contagious?\n{ASTHMA}" or asked.instead == f"Is it contagious?\n{ASTHMA}"


def test_a_pronoun_behind_the_subject_points_to_it() -> None:
    asked = in_conversation("My patient has croup, is it dangerous?", [ASTHMA])
    assert asked.instead == ""


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("Thanks! Cool. And croup?", "And croup?"),
        ("ok thank you, croup dose", "croup dose"),
        ("Cool, pale leg", "Cool, pale leg"),
        ("Right upper quadrant pain", "Right upper quadrant pain"),
        ("thanks", ""),
    ],
)
def test_what_is_said_of_the_last_answer_is_no_question(question: str, rest: str) -> None:
    assert without_courtesy(question) == rest


def test_alone_it_is_what_it_says() -> None:
    assert in_conversation("And in children?", []).text == "And in children?"
    assert in_conversation("And in children?", ["", " \n"]).text == "And in children?"
    assert not names_subject("what is the dose in children")
    assert names_subject("what is the dose of salbutamol")


@given(st.text(), st.lists(st.text(), max_size=6))
def test_any_turns_may_come(question: str, earlier: list[str]) -> None:
    asked = in_conversation(question, earlier)
    assert asked == in_conversation(question, earlier)
    assert asked.text.startswith(question)

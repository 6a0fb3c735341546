"""Full-text search: what is found, in which order, and that any text is a query."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.history.conversation import Conversation
from assistant.history.store import History
from tests.assistant.history.conftest import PATIENT, answer, talk

Talked = Callable[..., Conversation]


def found(history: History, query: str) -> list[str]:
    return [hit.snippet for hit in history.search(query, 10)]


def test_marks_stand_where_the_words_are(history: History, talked: Talked) -> None:
    talked("Fever", "Give *paracetamol*; naïve patients may take Paracetamol twice.")
    [hit] = history.search("PARACETAMOL naive", 10)
    assert [hit.snippet[start:end] for start, end in hit.marked] == ["paracetamol", "naïve", "Paracetamol"]


def test_the_best_comes_first_and_long_texts_are_cut(history: History, talked: Talked) -> None:
    talked("q", "word " * 300 + "gout" + " word" * 300)
    talked("gout and gout")
    hits = history.search("gout", 10)
    assert [hit.conversation.title for hit in hits] == ["gout and gout", "q"]
    assert len(hits[1].snippet) < 200
    assert hits[1].snippet[slice(*hits[1].marked[0])] == "gout"
    assert len(history.search("gout", 1)) == 1


def test_a_conversation_is_found_once(history: History, talked: Talked) -> None:
    talked("rare", "gout in a longer text than others")
    talked("q", *["gout"] * 40)
    talked("gout", "gout")
    assert [hit.conversation.title for hit in history.search("gout", 3)] == ["gout", "q", "rare"]
    assert [hit.conversation.title for hit in history.search("gout", 2)] == ["gout", "q"]


def test_all_words_before_any_word(history: History, talked: Talked) -> None:
    talked("q1", "warfarin and bleeding")
    talked("q2", "warfarin alone")
    assert found(history, "bleeding warfarin") == ["warfarin and bleeding"]
    assert found(history, "warfarin unheard-of") == ["warfarin alone", "warfarin and bleeding"]


def test_the_last_word_may_be_a_beginning_and_quotes_hold_words_together(history: History, talked: Talked) -> None:
    talked("q1", "low blood pressure")
    talked("q2", "pressure of blood")
    assert found(history, "blood pres") == ["pressure of blood", "low blood pressure"]
    assert found(history, '"blood pressure"') == ["low blood pressure"]
    assert found(history, "pres ") == []
    assert found(history, "essure") == []


def test_changed_and_removed_texts_are_not_found_any_more(history: History, talked: Talked) -> None:
    begun = talked("cobalt", "zinc")
    [asked, told] = history.messages(begun.id)
    history.change(replace(told, text="copper"))
    history.rename(begun.id, "nickel")
    assert found(history, "zinc") == []
    assert found(history, "copper") == ["copper"]
    assert found(history, "nickel") == ["nickel"]
    history.remove(begun.id)
    assert [found(history, word) for word in ("cobalt", "copper", "nickel")] == [[], [], []]
    assert history.faults() == []
    assert asked.text == "cobalt"


@pytest.mark.parametrize(
    "query", ["", " ", '"', '""', "*", "a AND", "NOT x", "NEAR(a b)", "text:x", "^x", "(x", "-", "x\0y", "x" * 9999]
)
def test_operators_are_words(history: History, talked: Talked, query: str) -> None:
    talked("a plain text")
    assert isinstance(history.search(query, 5), list)


@pytest.fixture(scope="module")
def anything() -> History:
    history = History.in_memory()
    begun = talk(history, "Grüße, naïve 120/80 mmHg, don't, 你好 text")
    history.add(begun.id, answer("x y z", history.messages(begun.id)[0]))
    return history


@PATIENT
@given(st.text(max_size=60))
def test_any_text_is_a_query(anything: History, query: str) -> None:
    for hit in anything.search(query, 5):
        assert all(0 <= start < end <= len(hit.snippet) for start, end in hit.marked)


@PATIENT
@given(st.sampled_from(["Grüße", "grusse", "naive", "120/80", "don't", "你好", "TEXT", "mmhg"]))
def test_what_was_written_is_found(anything: History, query: str) -> None:
    assert bool(anything.search(query, 5)) == (query != "grusse")

"""The questions of the retrieval benchmark, and its figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.library import LibraryPassage
from benchmarks.retrieval.__main__ import measure
from benchmarks.retrieval.medquad import Answer
from benchmarks.retrieval.queries import Query, abbreviations, build, described, is_tuned, mistyped, reworded
from benchmarks.retrieval.wordings import REPORTED, TUNED


@pytest.mark.parametrize(
    ("focus", "name"),
    [
        ("Cancer of the Bladder", "bladder cancer"),
        ("Smith's Disease", "smiths"),
        ("Leukemia", "leukaemia"),
        ("Primary Ciliary Dyskinesia", "ciliary dyskinesia, primary"),
        ("Miller-Fisher Ataxia (MFA)", "miller fisher ataxia"),
    ],
)
def test_subjects_are_named_otherwise(focus: str, name: str) -> None:
    assert reworded(focus) == name


@given(st.text(alphabet="abcdefghij ", min_size=1, max_size=30))
def test_a_fault_changes_the_name_and_is_always_the_same(name: str) -> None:
    wrong = mistyped(name)
    assert wrong == mistyped(name)
    assert wrong is None or (wrong != name and abs(len(wrong) - len(name)) <= 1)


def test_abbreviations_are_those_that_answers_give() -> None:
    text = "Restless legs syndrome (RLS) keeps people awake. It is common (very)."
    assert abbreviations([Answer("1", "Restless Legs Syndrome", "information", text)]) == {
        "restless legs syndrome": "RLS"
    }


def test_a_description_leaves_the_name_out() -> None:
    text = "Asthma is a long-lasting illness of the airways in which asthmatic people wheeze at night. More."
    assert described(Answer("1", "Asthma", "information", text)) == (
        "a long-lasting illness of the airways in which people wheeze at night."
    )


def test_the_halves_share_neither_subjects_nor_wordings() -> None:
    keys = [(f"illness {number}", "treatment") for number in range(20)]
    tuned, reported = (list(build(keys, reworded, tuned=half)) for half in (True, False))
    assert {query.key for query in tuned}.isdisjoint(query.key for query in reported)
    assert {query.key for query in (*tuned, *reported)} == set(keys)
    assert all(is_tuned(query.key[0]) for query in tuned)
    assert all(set(TUNED[kind]).isdisjoint(REPORTED[kind]) for kind in TUNED)


def test_figures_count_the_first_right_place() -> None:
    passages = [LibraryPassage("", title, "Treatment", "", "", "", "") for title in ("Croup", "Asthma")]
    queries = [
        Query("a", ("asthma", "treatment")),
        Query("b", ("croup", "treatment")),
        Query("c", ("gout", "treatment")),
    ]
    found = measure(lambda text, limit: passages if text != "c" else [], queries)
    assert found.recall_at_5 == pytest.approx(2 / 3)
    assert found.mrr_at_10 == pytest.approx((1 / 2 + 1) / 3)
    assert found.answered == pytest.approx(2 / 3)

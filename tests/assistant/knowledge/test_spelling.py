"""Misspelled words: the nearest that the library holds, and never one medicine for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.medicines import drug_names
from assistant.knowledge.spelling import Speller

CONDITIONS = "asthma pneumonia diarrhea hemorrhage psoriasis parkinson crohn chest pain leukemia heart attack".split()
SPELLER = Speller(CONDITIONS, drug_names())
LONG_NAMES = sorted(name for name in drug_names() if len(name) >= 8)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("astma", ("asthma",)),
        ("pnuemonia", ("pneumonia",)),
        ("diarhea", ("diarrhea",)),
        ("parkinsons", ("parkinson",)),
        ("crrohns", ("crohn",)),
        ("leukimia", ("leukemia",)),
        ("chestpain", ("chest pain",)),
        ("salbutmol", ("salbutamol",)),
        ("amoxicilin", ("amoxicillin",)),
        ("metroprolol", ("metoprolol",)),
        ("lisinoprel", ("lisinopril",)),
    ],
)
def test_common_faults(wrong: str, right: tuple[str, ...]) -> None:
    assert SPELLER.near(wrong) == right


@pytest.mark.parametrize("wrong", ["pain", "astm", "xylophone", "asthma", "h1n1", "", "étoile"])
def test_short_foreign_and_right_words_are_left(wrong: str) -> None:
    assert SPELLER.near(wrong) == ()


def test_what_is_meant_for_a_medicine_that_the_library_lacks_is_not_taken_for_another() -> None:
    holds_the_other_only = Speller(["hydralazine"], drug_names())
    assert holds_the_other_only.near("hydroxyzine") == ()
    assert holds_the_other_only.near("hydraxyzine") == ("hydroxyzine",)


def test_of_two_equally_near_both_are_kept() -> None:
    assert SPELLER.near("prednisolne") == ("prednisolone", "prednisone")


@given(st.sampled_from(sorted(drug_names())))
def test_no_medicine_is_corrected(name: str) -> None:
    assert SPELLER.near(name) == ()


@given(st.sampled_from(LONG_NAMES), st.data())
def test_a_medicine_with_one_fault_is_found(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 2))
    before, first, second, after = name[:place], name[place], name[place + 1], name[place + 2 :]
    wrong = data.draw(
        st.sampled_from([before + second + after, before + second + first + after, before + first + name[place:]])
    )
    assert wrong in drug_names() or wrong in CONDITIONS or name in SPELLER.near(wrong)


@given(st.text())
def test_any_word_may_come(word: str) -> None:
    assert SPELLER.near(word) == SPELLER.near(word)

"""Abbreviations: both ways, with every meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.abbreviations import expansions
from assistant.knowledge.words import words


def names(text: str) -> list[set[str]]:
    """The other names of the one thing in the text that has some, by meaning."""
    (found,) = expansions(text)
    return [set(reading) for reading in found.readings]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("COPD", "chronic obstructive pulmonary disease"),
        ("DKA", "diabetic ketoacidosis"),
        ("UTI", "urinary tract infection"),
        ("CHF", "congestive heart failure"),
        ("GERD", "gastroesophageal reflux disease"),
        ("GORD", "gastro-oesophageal reflux disease"),
        ("T2DM", "type 2 diabetes"),
        ("AFib", "atrial fibrillation"),
    ],
)
def test_both_ways(short: str, long: str) -> None:
    assert " ".join(words(long)) in names(f"treatment of {short.lower()}")[0]
    assert short.casefold() in names(f"how is {long} treated")[0]


@pytest.mark.parametrize(
    ("short", "meanings"),
    [
        ("MS", {"multiple sclerosis", "mitral stenosis"}),
        ("PE", {"pulmonary embolism", "pre eclampsia", "pleural effusion"}),
        ("RA", {"rheumatoid arthritis", "refractory anemia", "right atrium"}),
        ("AS", {"aortic stenosis", "ankylosing spondylitis", "angelman syndrome"}),
        ("CP", {"cerebral palsy", "chest pain", "chronic pancreatitis"}),
        ("MI", {"myocardial infarction", "mitral insufficiency"}),
    ],
)
def test_all_meanings_of_an_ambiguous_one_are_kept(short: str, meanings: set[str]) -> None:
    ways = names(f"treatment of {short}")
    assert len(ways) == len(meanings)
    assert all(any(meaning in way for way in ways) for meaning in meanings)


def test_a_full_name_does_not_lead_to_an_abbreviation_that_means_other_things_too() -> None:
    assert expansions("mitral stenosis")[0].readings == ((),)
    assert "ms" not in names("multiple sclerosis")[0]


@pytest.mark.parametrize("text", ["is it all gone as well", "WHAT IS ALL THIS ABOUT", "nothing short here", "", "?!"])
def test_words_that_only_look_like_one_are_left(text: str) -> None:
    assert expansions(text) == ()


def test_one_that_is_a_word_too_counts_in_capitals() -> None:
    assert names("prognosis of ALL in a boy") == [{"acute lymphoblastic leukemia", "acute lymphocytic leukemia"}]


def test_plurals_and_the_names_of_medicines() -> None:
    assert "urinary tract infection" in names("recurrent UTIs")[0]
    assert names("acetaminophen overdose") == [{"paracetamol", "tylenol", "panadol", "calpol", "apap"}]
    assert "paracetamol" in names("Tylenol overdose")[0]
    assert {"augmentin", "amoxicillin clavulanic acid"} <= names("co-amoxiclav in pregnancy")[0]


@given(st.text())
def test_places_lie_in_the_text_one_behind_the_other(text: str) -> None:
    ends = [0]
    for found in expansions(text):
        assert ends[-1] <= found.start < found.end
        ends.append(found.end)

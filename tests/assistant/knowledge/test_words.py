"""One spelling for what is the same: British and American, Greek letters, units, accents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.words import content_words, fold, phrases, without_measurements, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anaemia", "anemia"),
        ("Oesophageal", "esophageal"),
        ("gastro-oesophageal", "gastro-esophageal"),
        ("gastrooesophageal", "gastroesophageal"),
        ("diarrhoea", "diarrhea"),
        ("aetiology of foetal oedema", "etiology of fetal edema"),
        ("tumours", "tumors"),
        ("paralysed", "paralyzed"),
        ("centre", "center"),
        ("fibre", "fiber"),
        ("counselling", "counseling"),
        ("sulphonylurea", "sulfonylurea"),
        ("β-blocker", "beta-blocker"),
        ("μ-opioid", "mu-opioid"),
        ("Behçet’s disease", "behcet disease"),
        ("200µg", "200 micrograms"),
        ("200 ug", "200 mcg"),
        ("5mg", "5 milligrams"),
        ("90mmHg", "90 mm Hg"),
        ("my tummy", "my belly"),
    ],
)
def test_spellings_of_the_same_fold_alike(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(
    "word", ["AED", "EoE", "toe", "gastroesophageal", "poem", "hour", "mitre valve", "disease", "sepsis"]
)
def test_what_only_looks_british_keeps_its_letters(word: str) -> None:
    assert fold(word).split()[-1] == word.casefold().split()[-1]


def test_hyphens_part_words_that_stay_phrases() -> None:
    assert words("beta-blocker") == words("beta blocker") == ["beta", "blocker"]
    assert "beta blocker" in phrases("which beta-blocker?")


def test_numbers_belong_to_phrases_and_are_no_words_of_the_subject() -> None:
    assert "type 2" in phrases("type 2 diabetes")
    assert content_words("type 2 diabetes, 500 mg") == ["type", "diabetes"]


@given(st.text())
def test_any_text_can_be_folded_and_the_same_way_each_time(text: str) -> None:
    assert words(text) == words(text)
    assert all(word == word.casefold() for word in words(text))


def test_vital_signs_say_what_a_text_is_about_only_where_nothing_else_does() -> None:
    assert without_measurements("BP 85/50 HR 130") == "BP 85/50 HR 130"
    assert without_measurements("sepsis, BP 85/50") == "sepsis, BP 85/50"
    assert words(without_measurements("migraine with asthma, BP: 120/80, HR 90, SpO2 97 %")) == [
        "migraine",
        "with",
        "asthma",
    ]

"""Drug names: one substance by all its names, combinations, endings, and words that only look like drugs."""

import pytest

from assistant.knowledge.claims.drugs import read_drugs


def names(text: str) -> list[str]:
    return [drug.name for drug in read_drugs(text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("acetaminophen", "paracetamol"),
        ("tylenol", "paracetamol"),
        ("epinephrine", "adrenaline"),
        ("albuterol", "salbutamol"),
        ("furosemide", "frusemide"),
        ("folic acid", "folate"),
        ("rifampin", "rifampicin"),
        ("augmentin", "amoxicillin and clavulanic acid"),
        ("co-trimoxazole", "trimethoprim with sulfamethoxazole"),
        ("statins and simvastatin", "zocor"),
        ("nitroglycerin", "glyceryl trinitrate"),
    ],
)
def test_one_substance_by_two_names(one: str, other: str) -> None:
    assert names(one) == names(other) != []


def test_an_unknown_name_is_known_by_its_ending() -> None:
    assert names("give vazelprazole or testolizumab, not zorbatinib") == ["vazelprazole", "testolizumab", "zorbatinib"]


@pytest.mark.parametrize(
    "text", ["cholesterol", "the person", "this season", "a high dose of water", "statin", "protein", "except", "april"]
)
def test_ordinary_words_are_no_drugs(text: str) -> None:
    assert names(text) == []


def test_spans_point_at_the_names() -> None:
    text = "give glyceryl trinitrate, then aspirin"
    assert [text[drug.start : drug.end] for drug in read_drugs(text)] == ["glyceryl trinitrate", "aspirin"]

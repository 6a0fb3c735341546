"""Whose an age is: a stated one wins, another's does not count, and in doubt the rules for adults are applied as well."""

import pytest

from assistant.safety.patient import ages_of
from assistant.safety.screen import Screened, screen

DANGER = "BP 70/40, HR 180"


def rules(found: Screened) -> set[str]:
    return {each.rule.id for each in found.findings}


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("Boy 15 years", 15),
        ("Boy, 14 yrs", 14),
        ("Boy 15y", 15),
        ("boy: 13", 13),
        ("girl (16)", 16),
        ("girl, 15,", 15),
        ("Child 2 years", 2),
        ("child of 3", 3),
        ("child of 3 months", 0.25),
        ("toddler 18 months", 1.5),
        ("lad of 17", 17),
        ("daughter, 15,", 15),
        ("woman (34)", 34),
        ("baby of 6 months", 0.5),
        ("neonate day 9", 9 / 365),
    ],
)
def test_ages_beside_the_word(text: str, years: float) -> None:
    assert [age.years for age in ages_of(text.lower())] == pytest.approx([years])


@pytest.mark.parametrize(
    "text",
    ["boy 15 kg", "child 3 days fever", "girl 38.5", "boy 2/7 cough", "child 5 mg", "T 39 f", "type 2f"],
)
def test_numbers_beside_the_word_that_are_no_age(text: str) -> None:
    assert list(ages_of(text.lower())) == []


@pytest.mark.parametrize(
    "who",
    [
        "Boy 15 years",
        "girl (16)",
        "Takes baby aspirin",
        "Woman holding a baby",
        "Nurse at child protection",
        "mother of a 2 year old",
        "Has 2 kids aged 3 and 5",
        "father of a 5-year-old",
        "72M had polio aged 3",
        "lives with her 4 year old",
        "34F with her 2 year old",
        "wife, 70 years old, has a cold",
        "Had measles as a child",
        "The baby is well at home",
    ],
)
def test_a_grown_up_is_screened_as_one_whatever_child_is_named(who: str) -> None:
    found = screen([f"{who}, {DANGER}"])
    assert {"shock", "heart-rate"} <= rules(found)
    assert "child-heart-under-5" not in rules(found)
    assert found.is_whole


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("Here with his daughter, 3", "3 years"),
        ("Woman, her 2 year old in tow", "2 years"),
        ("A man and a boy of 4", "4 years"),
        ("Had his appendix out aged 8", "8 years"),
        ("A lady and a baby", "6 months"),
        ("Boy", "8 years"),
        ("kid", "6 years"),
        ("36F, the boy 3 years", "3 years"),
    ],
)
def test_where_it_is_unclear_both_are_screened_and_it_says_so(who: str, told: str) -> None:
    found = screen([f"{who}, {DANGER}"])
    assert {"shock", "heart-rate"} <= rules(found)
    assert not found.is_whole
    assert found.reason == f"the patient's age is unclear: rules for adults and for about {told} were applied"


@pytest.mark.parametrize(
    "text",
    [
        "baby of 6 months, HR 140",
        "3-year-old, mother says drinking well, HR 135, RR 32",
        "2 y old boy, mum 30 years old, HR 138",
        "toddler, HR 135, RR 34, smiling",
        "newborn HR 155, RR 50",
        "My daughter, 3, has a cough, HR 135",
        "6-week-old, mother 22F, HR 158",
        "Boy, 2 months, born to a 33-year-old woman, HR 152",
    ],
)
def test_what_is_normal_in_a_child_stays_free(text: str) -> None:
    found = screen([text])
    assert rules(found) == set()
    assert "rules for 12 years and over were not applied" in str(found.reason)


def test_the_rules_for_a_childs_age_are_applied_in_doubt() -> None:
    assert "fever-young-infant" in rules(screen(["Mum brings her 5 week old, temp 38.4"]))
    assert "child-heart-under-5" in rules(screen(["Child 2 years, HR 145"]))
    assert "child-heart-under-5" not in rules(screen(["Child 6 years, HR 145"]))


def test_many_children_are_read_in_time_that_grows_with_the_text() -> None:
    assert "shock" in rules(screen(["no child, " * 2**15 + DANGER]))

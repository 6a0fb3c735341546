"""Negation: two sentences on the same things contradict each other or do not, however they deny."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.claims.claim import read_claim
from assistant.knowledge.claims.negation import contradicts, drops_exception

AGREE = [
    ("Drug X should not be given in pregnancy.", "Drug X is contraindicated in pregnancy."),
    ("Avoid drug X in pregnancy.", "Drug X should not be given in pregnancy."),
    ("Drug X should be avoided in pregnancy.", "Drug X must not be used in pregnancy."),
    ("It doesn't cause fever.", "It does not cause fever."),
    ("There is no evidence that zinc prevents colds.", "No evidence shows that zinc prevents colds."),
    ("It is not known what causes lupus.", "It is unknown what causes lupus."),
    ("It is not uncommon in children.", "It is common in children."),
    ("Children recover without treatment.", "Children recover with no treatment."),
    ("Most cases are not inherited.", "In most cases the disease is not inherited."),
    ("Wait unless there is fever.", "Unless there is fever, wait."),
    (
        "He should not be moved, and the neck must be kept still.",
        "The neck must be kept still, and he should not be moved.",
    ),
    ("Give no more than 4 g of paracetamol.", "Give at most 4 g of paracetamol."),
    ("Neither cough nor fever is present.", "Cough and fever are not present."),
    ("Adults cough or don't cough.", "Adults cough or do not cough."),
    (
        "There are 2 forms, the classic one and the non-classic one.",
        "There are two forms, the classic one and the non-classic one.",
    ),
    ("Not only adults but also children cough.", "Adults cough, and children cough as well."),
]
CONTRADICT = [
    ("Drug X should be given in pregnancy.", "Drug X should not be given in pregnancy."),
    ("Drug X is contraindicated in pregnancy.", "Drug X is given in pregnancy."),
    ("Zinc prevents colds.", "There is no evidence that zinc prevents colds."),
    ("It is known what causes lupus.", "It is unknown what causes lupus."),
    ("It is safe in asthma.", "It is unsafe in asthma."),
    ("Children recover with treatment.", "Children recover without treatment."),
    ("The pulse can be felt.", "The pulse cannot be felt."),
    ("Use it in adults but not in children.", "Use it in children but not in adults."),
    ("Do not give it.", "Do not give it unless a surgeon agrees."),
    ("Give it in shock.", "Give it in shock only if saline has failed."),
    ("Give it if the patient bleeds.", "Do not give it if the patient bleeds."),
    ("This is not because the liver fails.", "This is because the liver fails."),
    ("It is common in women.", "It is rare in women."),
]


def conflict(one: str, other: str) -> bool:
    said, held = read_claim(one).polarity, read_claim(other).polarity
    return contradicts(said, held) or drops_exception(said, held)


@pytest.mark.parametrize(("one", "other"), AGREE)
def test_the_same_denied_in_other_words(one: str, other: str) -> None:
    assert not conflict(one, other)
    assert not conflict(other, one)


@pytest.mark.parametrize(("said", "held"), CONTRADICT)
def test_what_the_source_denies_or_affirms_otherwise(said: str, held: str) -> None:
    assert conflict(said, held)


def test_half_of_a_sentence_is_held_to_its_own_half() -> None:
    held = "It is used in asthma but should not be used in gout."
    assert not conflict("It is used in asthma.", held)
    assert conflict("It should be used in gout.", held)


@given(
    st.lists(
        st.sampled_from("no not without give drug , and but if fever unless can cannot be avoided".split()), max_size=14
    )
)
def test_no_sentence_contradicts_itself(words: list[str]) -> None:
    assert not conflict(" ".join(words), " ".join(words))

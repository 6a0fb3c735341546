"""What a sentence of a source does not say although its words stand there: exceptions, conditions, order, splices."""

import pytest

from assistant.knowledge.citations import check_answer
from assistant.knowledge.claims.claim import read_claim
from assistant.knowledge.claims.splice import is_spliced, tokens_of
from assistant.knowledge.claims.support import find_reasons, read_passage
from models.grounding import Passage

CLOT = "A heparin is the usual treatment of a clot in the leg outside pregnancy, kidney failure and low platelets."


def reasons(source: str, sentence: str, heading: str = "Advice") -> tuple[str, ...]:
    return find_reasons(read_claim(sentence), [read_passage(Passage("Notes", heading, source))])


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (CLOT, "A heparin is the usual treatment of a clot in the leg."),
        (CLOT, "A heparin is the usual treatment of a clot in the leg in pregnancy."),
        ("Timolol drops suit most people apart from in asthma.", "Timolol drops suit most people in asthma."),
        ("Aspirin suits adults other than those with asthma.", "Aspirin suits adults with asthma."),
        ("Aspirin suits adults other than those with asthma.", "Aspirin suits adults."),
        ("Any splint may be used except on an open wound.", "Any splint may be used."),
        ("All may be vaccinated with the exception of newborns.", "All may be vaccinated."),
        ("The tremor needs no drug unless the tremor spoils a meal.", "The tremor needs no drug."),
    ],
)
def test_an_exception_cannot_be_left_out_or_taken_in(source: str, sentence: str) -> None:
    assert reasons(source, sentence) == ("negation",)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("If bleeding continues, transfuse red cells.", "Transfuse red cells."),
        ("If bleeding continues, transfuse.", "Transfuse."),
        ("Transfuse red cells if bleeding continues.", "Transfuse red cells."),
        ("The cast can come off, provided that the bone has healed.", "The cast can come off."),
        ("Adults over 65 take half the dose.", "Adults take half the dose."),
        ("In adults the dose is 30 mg.", "The dose is 30 mg."),
        ("Only specialists should start methotrexate.", "Start methotrexate."),
        ("Methotrexate should only be started by rheumatologists.", "Methotrexate should be started."),
        ("If the pulse is weak or the skin is cold, give fluid and oxygen.", "Give fluid and oxygen."),
    ],
)
def test_a_condition_cannot_be_left_out(source: str, sentence: str) -> None:
    assert reasons(source, sentence) == ("overlap",)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (CLOT, "Outside pregnancy, a heparin is the usual treatment of a clot in the leg."),
        ("If bleeding continues, transfuse red cells.", "Transfuse red cells for continued bleeding."),
        ("Warm the child and, if the pulse is weak, give fluid.", "Warm the child."),
        ("Warm the child and give fluid if the pulse is weak.", "Warm the child."),
        ("Doses are 5 mg in adults, and 2 mg in infants.", "The dose in infants is 2 mg."),
        ("Adults over 65 take half the dose.", "Half the dose is taken by those over 65."),
        ("Only specialists should start methotrexate.", "Methotrexate is started by specialists."),
        ("Plaster is used outside the hospital as well.", "Plaster is used outside hospital."),
        ("After excluding a fracture, bandage the ankle.", "Bandage the ankle after excluding a fracture."),
        ("See if the rash fades, and press it with a glass.", "Press the rash with a glass."),
        ("The plaster is changed outside the hospital.", "The plaster is changed."),
        ("After excluding a fracture, bandage the ankle.", "Bandage the ankle."),
        ("Press a glass on the skin to see if the rash fades.", "Press a glass on the skin."),
        ("Ramipril is avoided in pregnancy.", "Avoid ramipril in pregnant women."),
    ],
)
def test_what_is_kept_or_governs_something_else_is_no_fault(source: str, sentence: str) -> None:
    assert reasons(source, sentence) == ()


def test_what_the_heading_says_need_not_be_repeated() -> None:
    source = "In infants the dose is 3 mg."
    assert reasons(source, "The dose is 3 mg.", "Doses for infants") == ()
    assert reasons(source, "The dose is 3 mg.", "Doses") == ("overlap",)


@pytest.mark.parametrize(
    ("source", "sentence", "expected"),
    [
        ("Thrombolysis helps within 4.5 hours of onset.", "Thrombolysis helps after 4.5 hours.", "number"),
        ("Thrombolysis helps within 4.5 hours of onset.", "Thrombolysis helps 4.5 hours after onset.", "number"),
        ("Repeat the scan 3 months after treatment.", "Repeat the scan 3 months before treatment.", "negation"),
        ("Stop apixaban 4 hours before surgery.", "Stop apixaban 4 hours after surgery.", "negation"),
        ("Wash before meals and rest after meals.", "Wash after meals.", "negation"),
        ("Avoid zolpidem in the first trimester.", "Avoid zolpidem in the third trimester.", "number"),
        (
            "Give 15 mg/kg for the first dose, then 7.5 mg/kg.",
            "Give 7.5 mg/kg for the first dose, then 15 mg/kg.",
            "number",
        ),
        ("Give 20 mg on day 1, 10 mg on day 2.", "Give 10 mg on day 1, 20 mg on day 2.", "number"),
        ("Give 20 mg on day 1 and 10 mg on day 2.", "Give 10 mg on day 1 and 20 mg on day 2.", "number"),
        ("Treat a pressure of 140/90 mmHg.", "Treat a pressure of 90/140 mmHg.", "number"),
        ("Screen donors for hepatitis B.", "Screen donors for hepatitis A.", "overlap"),
        ("Screen donors for hepatitis B and C.", "Screen donors for hepatitis b and hepatitis a.", "overlap"),
        ("Group A streptococcus causes tonsillitis.", "Group B streptococcus causes tonsillitis.", "overlap"),
    ],
)
def test_order_timing_and_letters_are_compared(source: str, sentence: str, expected: str) -> None:
    assert expected in reasons(source, sentence)
    assert reasons(source, source.lower()) == ()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("Thrombolysis helps within 4.5 hours of onset.", "Thrombolysis helps up to 4.5 hours from onset."),
        ("Thrombolysis helps in the first 4 hours.", "Thrombolysis helps within 4 hours."),
        ("Repeat the scan 3 months after treatment.", "Three months after treatment, repeat the scan."),
        ("Screen donors for hepatitis B and C.", "Donors are screened for hepatitis C and hepatitis B."),
        ("Screen donors for hepatitis B.", "Screen donors for hepatitis b."),
        ("Give 20 mg on day 1, 10 mg on day 2.", "Give 10 mg on day 2, 20 mg on day 1."),
        ("Test the liver with an elastogram every year.", "Test the liver each year with an elastogram."),
    ],
)
def test_the_same_order_in_other_words(source: str, sentence: str) -> None:
    assert reasons(source, sentence) == ()


SPLICED = [
    "Send every planned overdose to a hospital at once.",
    "Acetylcysteine protects the liver and should be started promptly when the level is high.",
    "It should be given in glucose, and the rate is lowered twice.",
]


@pytest.mark.parametrize(
    ("sentence", "spliced"),
    [
        ("Send every planned overdose should be started promptly when the level is high.", True),
        ("Acetylcysteine protects the liver and should be given in glucose.", False),
        (SPLICED[1], False),
        ("Acetylcysteine should be started promptly when the level is high.", False),
        ("Acetylcysteine should be given in glucose, and the rate is lowered twice.", False),
        ("Acetylcysteine protects the liver, and the rate is lowered twice.", False),
        ("Send every planned overdose to a hospital at once, and the rate is lowered twice.", False),
    ],
)
def test_the_head_of_one_sentence_with_the_tail_of_another(sentence: str, spliced: bool) -> None:
    sources = [tokens_of(each.lower()) for each in SPLICED]
    assert is_spliced(tokens_of(sentence.lower()), sources) is spliced


def test_one_sentence_shortened_is_no_splice() -> None:
    sources = ["mild gout of the foot often needs a cold pack", "mild gout of the hand needs a cold pack"]
    assert not is_spliced(tokens_of("mild gout of the foot needs a cold pack"), [*map(tokens_of, sources)])


def test_a_splice_is_unsupported() -> None:
    passage = Passage("Paracetamol overdose", "Actions", " ".join(SPLICED))
    (check,) = check_answer("Send every planned overdose should be started when the level is high. [1]", [passage])
    assert (check.status, check.reasons) == ("unsupported", ("overlap",))
    source = "A swollen leg or arm needs a scan. A painful chest or arm needs a tracing."
    assert reasons(source, "A swollen leg or arm needs a tracing.") == ("overlap",)


def test_what_one_sentence_says_more_fully_is_not_taken_from_another() -> None:
    source = "Zinc does not usually help children with a cold quickly. Zinc helps children with a cold in spring."
    assert reasons(source, "Zinc usually helps children with a cold quickly.") == ("negation",)
    assert reasons(source, "Zinc helps children with a cold in spring.") == ()

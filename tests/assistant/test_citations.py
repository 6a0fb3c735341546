"""The check of an answer against the passages that it cites."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.ask.answer import judge_evidence
from assistant.knowledge.citations import check_answer
from assistant.knowledge.library import starter_documents
from models.grounding import NO_ANSWER, Passage, quoted_answer
from models.sentences import split_sentences
from models.starter import load_notes

ADRENALINE = Passage(
    "Anaphylaxis",
    "Immediate actions",
    "Give adrenaline 0.5 mg into the outer thigh of an adult. Repeat adrenaline after 5 minutes if there is no"
    " improvement. Do not let the patient stand up suddenly.",
)
FLUIDS = Passage("Shock", "Fluids", "Give 500 ml of crystalloid over 15 minutes and measure the blood pressure again.")
PASSAGES = [ADRENALINE, FLUIDS]


@pytest.mark.parametrize(
    ("sentence", "status", "reasons"),
    [
        ("Give adrenaline 0.5 mg into the outer thigh of an adult. [1]", "supported", ()),
        ("give  ADRENALINE 0.5 mg into the outer thigh of an adult [1]", "supported", ()),
        ("Give an adult adrenaline 0.50 mg into the outer thigh. [1]", "unsupported", ("overlap",)),
        ("Give epinephrine 0.5 milligrams into the outer thigh of an adult. [1]", "unsupported", ("overlap",)),
        ("Give adrenaline 0.3 mg into the outer thigh of an adult. [1]", "unsupported", ("number",)),
        ("Give adrenaline 0.5 ml into the outer thigh of an adult. [1]", "unsupported", ("unit",)),
        ("Repeat adrenaline after 5 hours if there is no improvement. [1]", "unsupported", ("unit",)),
        (
            "Give adrenaline 0.5 mg and atropine into the outer thigh of an adult. [1]",
            "unsupported",
            ("drug",),
        ),
        ("Do not give adrenaline 0.5 mg into the outer thigh of an adult. [1]", "unsupported", ("negation",)),
        ("Let the patient stand up suddenly. [1]", "unsupported", ("negation",)),
        (
            "Give adrenaline 0.5 mg and adrelantoin into the outer thigh of an adult. [1]",
            "unsupported",
            ("drug",),
        ),
        ("Give adrenaline 0.5 mg swiftforward into the outer thigh of an adult. [1]", "unsupported", ("overlap",)),
        ("The weather in the mountains changes quickly. [1]", "unsupported", ("overlap",)),
        ("Give 500 ml of crystalloid over 15 minutes. [2]", "supported", ()),
        ("Give 500 ml of crystalloid over 15 minutes. [1]", "unsupported", ("number",)),
        ("Give adrenaline 0.5 mg into the outer thigh of an adult. [7]", "unsupported", ("overlap",)),
        ("Call for help early.", "uncited", ()),
    ],
)
def test_verdict(sentence: str, status: str, reasons: tuple[str, ...]) -> None:
    (check,) = check_answer(sentence, PASSAGES)
    assert (check.status, check.reasons) == (status, reasons)
    assert (check.start, check.end, check.by) == (0, len(sentence), "model")


@pytest.mark.parametrize(
    "spliced",
    [
        "Repeat adrenaline into the outer thigh of an adult. [1]",
        "Give adrenaline 0.5 mg into the outer thigh of an adult after 5 minutes. [1]",
        "Let the patient stand up suddenly. [1]",
        "let the patient stand up suddenly [1]",
    ],
)
def test_true_words_in_another_order_are_no_quote(spliced: str) -> None:
    (check,) = check_answer(spliced, PASSAGES)
    assert check.status == "unsupported"


def test_a_quote_without_a_mark_is_cited_by_the_host() -> None:
    (check,) = check_answer("Do not let the patient stand up suddenly.", PASSAGES)
    assert (check.by, check.cites, check.status) == ("host", (1,), "supported")


def test_heading_and_refusal_claim_nothing() -> None:
    assert check_answer(f"{ADRENALINE.heading}\n", PASSAGES) == ()
    assert check_answer(NO_ANSWER, PASSAGES) == ()
    assert check_answer("", PASSAGES) == ()
    assert check_answer("[1]", PASSAGES) == ()


def test_a_mark_that_names_no_passage_spoils_a_true_sentence() -> None:
    (check,) = check_answer("Give adrenaline 0.5 mg into the outer thigh of an adult. [1] [9]", PASSAGES)
    assert (check.cites, check.status, check.reasons) == ((1, 9), "unsupported", ("overlap",))


def test_offsets_point_at_each_sentence() -> None:
    answer = f"{FLUIDS.heading}\nÜber allem Ruhe. [2] Give 500 ml of crystalloid over 15 minutes. [2]"
    spans = [answer[check.start : check.end] for check in check_answer(answer, PASSAGES)]
    assert spans == ["Über allem Ruhe. [2]", "Give 500 ml of crystalloid over 15 minutes. [2]"]


def test_numbering_may_start_later() -> None:
    (check,) = check_answer("Do not let the patient stand up suddenly. [5]", PASSAGES, first=5)
    assert check.status == "supported"


def test_every_quote_of_the_starter_library_is_supported() -> None:
    for note in load_notes():
        for section in note.sections:
            passage = Passage(note.title, section.heading, section.text)
            quotes = [sentence.text for sentence in split_sentences(section.text)]
            checks = check_answer(quoted_answer(passage, 1, quotes), [passage])
            assert len(checks) == len(quotes), passage.heading
            assert {check.status for check in checks} == {"supported"}, passage.heading


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_checked_without_fault(answer: str) -> None:
    checks = check_answer(answer, PASSAGES)
    assert all(0 <= check.start < check.end <= len(answer) for check in checks)
    assert all((check.status == "unsupported") == bool(check.reasons) for check in checks)


@pytest.mark.parametrize(
    ("second", "evidence"), [("Repeat adrenaline after 5 minutes if there is no improvement. [1]", "sufficient"),
                             ("Repeat adrenaline after 9 minutes if there is no improvement. [1]", "insufficient")],
)  # fmt: skip
def test_one_bad_sentence_spoils_the_evidence(second: str, evidence: str) -> None:
    text = f"Give adrenaline 0.5 mg into the outer thigh of an adult. [1] {second}"
    sources = starter_documents()[0].passages[:1]
    assert judge_evidence(text, sources, check_answer(text, PASSAGES)) == evidence
    assert judge_evidence(text, (), ()) == "out_of_scope"
    assert judge_evidence(NO_ANSWER, sources, ()) == "insufficient"

"""Clinicians' shorthand: written out where it means one thing, and left alone where it is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.abbreviations import expansions
from assistant.knowledge.conversation import names_subject
from assistant.knowledge.shorthand import written_out
from assistant.knowledge.words import content_words, words


@pytest.mark.parametrize(
    ("text", "plainly"),
    [
        ("croup mx", "croup treatment"),
        ("Rx for gout", "treatment for gout"),
        ("gout tx?", "gout treatment?"),
        ("gout ddx, ix", "gout differential diagnosis, investigations"),
        ("abx, hx and sx", "antibiotics, history and symptoms"),
        ("pts w/ gout w/o fever", "patients with gout without fever"),
        ("c/o palps o/e", "palpitations examination"),
        ("gout s/p surgery, f/u", "gout after surgery, follow-up"),
        ("colchicine 500 mcg bd prn", "colchicine 500 mcg"),
        ("aspirin 75mg OD", "aspirin 75mg"),
        ("paracetamol OD", "paracetamol overdose"),
        ("K+ 6.8 and Na+ 118", "potassium 6.8 and sodium 118"),
        ("K 6.8, Mg 0.4, Ca 3.2", "potassium 6.8, magnesium 0.4, calcium 3.2"),
        ("low Mg2+", "low magnesium"),
        ("hyper-K+ with ECG changes", "hyperK with ECG changes"),
    ],
)
def test_it_is_written_out(text: str, plainly: str) -> None:
    assert " ".join(written_out(text).split()) == plainly


@pytest.mark.parametrize(
    "text",
    [
        "factor IX deficiency",
        "PT prolonged",
        "gene of PTS",
        "vitamin K 2.5 mg",
        "500 Mg of it",
        "and/or",
        "mxa",
        "3 ptosis",
        "Natural K-wire",
        "24/7",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert written_out(text) == text


def test_an_ambiguous_element_keeps_its_meanings() -> None:
    (found,) = expansions(written_out("Ca of unknown cause"))
    assert [set(reading) for reading in found.readings] == [{"carcinoma", "cancer"}, {"calcium"}]


@pytest.mark.parametrize(
    ("short", "long"), [("hyperK", "hyperkalaemia"), ("hypoNa", "hyponatraemia"), ("hypoCa", "low Ca 1.9")]
)
def test_a_disturbed_electrolyte_has_all_its_names(short: str, long: str) -> None:
    def named(text: str) -> set[str]:
        return {name for found in expansions(written_out(text)) for reading in found.readings for name in reading}

    assert named(short) & {*named(long), " ".join(words(long))}


@pytest.mark.parametrize(
    "text", ["mx?", "rx in pts", "ddx and ix", "o/e", "hx", "f/u, prn", "thanks, ok", "conscious pt"]
)
def test_shorthand_for_what_may_be_asked_of_anything_names_no_subject(text: str) -> None:
    assert not names_subject(written_out(text))


@given(st.text())
def test_any_text_may_come(text: str) -> None:
    once = written_out(text)
    assert content_words(once) == content_words(written_out(text))

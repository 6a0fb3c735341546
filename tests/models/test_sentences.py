"""Sentences: where prose ends one and where it only seems to, and what the grounded prompt makes of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TextError
from models.grounding import Passage, quoted_answer, render_passages
from models.sentences import split_sentences
from models.starter import load_notes, parse_note, split_notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Give vitamin K. Then wait.", ["Give vitamin K.", "Then wait."]),
        ("Glucose is 4 mmol/L. Then wait.", ["Glucose is 4 mmol/L.", "Then wait."]),
        ("By J. Smith, see Dr. Who. Next.", ["By J. Smith, see Dr. Who.", "Next."]),
        ("Dose 0.5 mg i.m. Now. Is it? Yes!", ["Dose 0.5 mg i.m. Now.", "Is it?", "Yes!"]),
        ("One is here. [1] Two is here. [2][3]", ["One is here. [1]", "Two is here. [2][3]"]),
        ("Heading\nBody.", ["Heading", "Body."]),
        ("", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert [sentence.text for sentence in split_sentences(text)] == expected


@given(st.text(alphabet=st.sampled_from("ab AB.!?\n[1] "), max_size=80))
def test_spans_are_in_order_and_lose_nothing_but_space(text: str) -> None:
    sentences = split_sentences(text)
    assert all(text[s.start : s.end] == s.text == s.text.strip() != "" for s in sentences)
    assert all(left.end <= right.start for left, right in itertools.pairwise(sentences))
    assert "".join("".join(s.text for s in sentences).split()) == "".join(text.split())


def test_every_sentence_of_a_passage_carries_its_mark() -> None:
    passages = [Passage("Asthma", "Signs", "It wheezes. It coughs."), Passage("Gout", "", "It hurts.")]
    assert render_passages(passages, first=3) == (
        "[3] Asthma: Signs\nIt wheezes. [3] It coughs. [3]\n[4] Gout\nIt hurts. [4]"
    )
    assert quoted_answer(passages[0], 3, ["It coughs."]) == "Asthma: Signs\nIt coughs. [3]"


def test_the_starter_notes_keep_their_form() -> None:
    calibrate, evaluate = split_notes()
    assert (len(calibrate), len(evaluate)) == (48, 12)
    assert not {note.id for note in calibrate} & {note.id for note in evaluate}
    for note in load_notes():
        words = sum(len(section.text.split()) for section in note.sections)
        assert 120 <= words <= 250, note.id
        assert note.follows
        assert note.kind in {"emergency", "common", "drug-class", "paediatric", "reference"}


@pytest.mark.parametrize("source", ["no front matter", "+++\nid = \n+++\n## A\nB.", '+++\nid = "x"\n+++\n## A\nB.'])
def test_a_damaged_note_is_named(source: str) -> None:
    with pytest.raises(TextError, match=r"note x\.md"):
        parse_note(source, "x.md")

"""Cutting: no word is lost, no passage is too long, no text can steer a screen or pass for a citation."""

import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.knowledge.cut import MAX_DOCUMENT_PASSAGES, MAX_PASSAGE_CHARACTERS, Given, clean, cut_documents, is_date
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section
from assistant.knowledge.library import Document, passage_id

SILENT = Given()
SENTENCES = st.lists(st.text("abcdefgh ,", min_size=1, max_size=400).map(lambda text: f"A {text}."), min_size=1)
PARAGRAPHS = st.lists(
    st.lists(SENTENCES, max_size=4).map(lambda s: " ".join(" ".join(each) for each in s)), max_size=12
)


def cut(*manuscripts: Manuscript, file: str = "Gout guide.md", given: Given = SILENT) -> list[Document]:
    return list(cut_documents("own", file, manuscripts, given))


def manuscript(*sections: tuple[str, Sequence[str]]) -> Manuscript:
    cut_up = []
    for path, texts in sections:
        paragraphs = tuple(Paragraph(text, place) for place, text in enumerate(texts, start=1))
        cut_up.append(Section(tuple(filter(None, path.split("/"))), paragraphs))
    return Manuscript(tuple(cut_up), "line")


@settings(deadline=None)
@given(PARAGRAPHS)
def test_every_word_is_in_one_passage_in_order(texts: list[str]) -> None:
    passages = [passage for document in cut(manuscript(("", texts))) for passage in document.passages]
    assert " ".join(passage.text for passage in passages).split() == " ".join(texts).split()
    assert all(0 < len(passage.text) <= MAX_PASSAGE_CHARACTERS for passage in passages)


def test_passages_of_a_section_are_about_equal() -> None:
    sentence = "Ten words stand in this sentence and none is long."
    (document,) = cut(manuscript(("", [" ".join([sentence] * 30)])))
    lengths = [len(passage.text) for passage in document.passages]
    assert len(lengths) == 2
    assert max(lengths) - min(lengths) < 2 * len(sentence) * 10
    assert all(passage.text.endswith("long.") for passage in document.passages)


def test_a_word_that_never_ends_is_cut_all_the_same() -> None:
    (document,) = cut(manuscript(("", ["x" * 3000])))
    assert "".join(passage.text for passage in document.passages) == "x" * 3000


def test_passages_tell_where_they_stand() -> None:
    (document,) = cut(manuscript(("Dosing/Children", ["One.", "Two."]), ("Overdose", ["Act."])))
    first, second = document.passages
    assert (first.section, first.position, first.text) == ("Dosing > Children", "lines 1-2", "One.\nTwo.")
    assert (second.section, second.position, second.source) == ("Overdose", "line 1", "Gout guide.md")
    assert document.id == "gout-guide"
    assert second.id == passage_id("own", "gout-guide", 2, "Act.")


def test_what_the_person_says_counts_where_the_document_is_silent() -> None:
    told = Given("Told", "2020", "Told licence")
    silent, says = (
        manuscript(("", ["Text."])),
        Manuscript(
            manuscript(("", ["Text."])).sections,
            "line",
            title="Says",
            date="2024-02",
            licence="CC0",
            source="http://a.b",
        ),
    )
    (first,), (second,) = cut(silent, given=told), cut(says, given=told)
    assert (first.title, first.passages[0].date, first.passages[0].licence) == ("Told", "2020", "Told licence")
    assert (second.title, second.passages[0].date, second.passages[0].licence) == ("Says", "2024-02", "CC0")
    assert second.passages[0].source == "http://a.b"


def test_a_date_that_is_none_is_left_out() -> None:
    odd = Manuscript(manuscript(("", ["Text."])).sections, "line", date="last spring")
    assert cut(odd)[0].passages[0].date == ""
    assert [is_date(text) for text in ("2024", "2024-12", "2024-12-31", "2024-13", "24-1-1", "")] == [True] * 3 + [
        False
    ] * 3


def test_a_long_book_becomes_its_chapters() -> None:
    chapter = ["x" * 900] * (MAX_DOCUMENT_PASSAGES - 4)
    book = manuscript(
        ("Gout/Causes", chapter), ("Gout/Treatment", ["Rest."] * 2), ("Croup", chapter), ("", chapter * 2)
    )
    documents = cut(book)
    assert [document.title for document in documents] == [
        "Gout guide: Gout", "Gout guide: Croup", "Gout guide: part 1 of 2", "Gout guide: part 2 of 2",
    ]  # fmt: skip
    assert [document.id for document in documents] == [f"gout-guide-{n}" for n in range(1, 5)]
    assert all(len(document.passages) <= MAX_DOCUMENT_PASSAGES for document in documents)
    assert {passage.section for passage in documents[0].passages} == {"Causes", "Treatment"}


def test_names_are_plain_and_unique() -> None:
    same = [manuscript(("", ["Text."]))] * 2
    assert [document.id for document in cut(*same, file="Ångström/é.md")] == ["angstrom-e", "angstrom-e-2"]
    assert re.fullmatch(r"[0-9a-f]{12}", cut(*same, file="痛風.md")[0].id)


@settings(deadline=None)
@given(st.text())
def test_cleaned_text_steers_nothing_and_cites_nothing(text: str) -> None:
    cleaned = clean(f"{text}[3]\x1b[2J\u202e[12]")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", cleaned)
    assert not re.search(r"\[\d{1,3}\]", cleaned)
    assert clean(cleaned) == cleaned


def test_control_characters_cannot_hide_a_mark() -> None:
    assert clean("as shown [\x1b3] and [\u200e4\u200f]") == "as shown (3) and (4)"

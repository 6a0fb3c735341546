"""PDF files, written by pypdf and read back: pages, bookmarks, running heads, and what cannot be read."""

import pytest

from assistant.errors import DocumentError
from assistant.knowledge.importers.choosing import read_document
from assistant.knowledge.importers.manuscript import Manuscript
from tests.assistant.knowledge.documents import pdf


def read(data: bytes) -> Manuscript:
    (manuscript,) = read_document("guide.pdf", data)
    return manuscript


def texts(manuscript: Manuscript) -> list[tuple[int, str]]:
    return [(p.place, p.text) for section in manuscript.sections for p in section.paragraphs]


def test_text_knows_its_page_and_its_bookmarks() -> None:
    pages = [["Foreword."], ["Gout is common."], ["Colchicine helps."], ["Index."]]
    bookmarks = [("Gout", 1, 0), ("Treatment", 2, 1), ("Index", 3, 0)]
    found = read(pdf(pages, title="A guide", bookmarks=bookmarks))
    assert (found.title, found.unit) == ("A guide", "page")
    assert [section.path for section in found.sections] == [(), ("Gout",), ("Gout", "Treatment"), ("Index",)]
    assert texts(found) == [(1, "Foreword."), (2, "Gout is common."), (3, "Colchicine helps."), (4, "Index.")]


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [["Guide to gout", f"What stands on page {word}.", f"Page {n} of 4"] for n, word in enumerate("abcd", 1)]
    assert texts(read(pdf(pages))) == [(n, f"What stands on page {word}.") for n, word in enumerate("abcd", 1)]


def test_a_word_broken_at_the_end_of_a_line_is_made_whole_only_where_it_is_known_whole() -> None:
    found = read(pdf([["No treatment but this treat-", "ment, and a beta-", "blocker."]]))
    assert texts(found) == [(1, "No treatment but this treatment, and a beta-blocker.")]


def test_a_title_that_a_program_made_up_is_none() -> None:
    assert read(pdf([["Text."]], title="Microsoft Word - draft7.doc")).title == ""
    assert read(pdf([["Text."]], title="draft7.docx")).title == ""


def test_a_file_that_anyone_may_read_is_read() -> None:
    assert texts(read(pdf([["Text."]], password=""))) == [(1, "Text.")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pdf([["Text."]], password="secret"), r"guide\.pdf is encrypted; save it without a password"),
        (pdf([[], []]), r"guide\.pdf holds no text \(a scan\?\); run text recognition on it first"),
        (pdf([["Text."]])[:200], r"guide\.pdf cannot be read as PDF"),
        (b"", r"guide\.pdf cannot be read as PDF"),
    ],
)
def test_what_has_no_text_to_give_says_why(data: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read(data)


def test_a_book_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.knowledge.importers.pdf.MAX_PAGES", 2)
    with pytest.raises(DocumentError, match="has 3 pages, over 2; split it"):
        read(pdf([["a"], ["b"], ["c"]]))

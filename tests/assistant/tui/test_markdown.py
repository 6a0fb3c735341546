"""Markdown as rows: everything is shown, nothing of it is a command, and growing by pieces gives the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from assistant.tui.flow import Flow
from assistant.tui.markdown import Mark, Run, read_lines
from assistant.tui.wrapping import Row

MARKDOWN = """# Title
**Strong** and *em* with `code` [1][2], see [1, 3].

- one
  - two
1. three
> quote
```py
x  =  1
```
end"""
TEXTS = st.text(st.sampled_from("ab *_`#[]()12,.\n-|>漢é\t"), max_size=200)


def rows(text: str, width: int = 40, *marks: Mark) -> list[Row]:
    flow = Flow()
    flow.extend(text)
    flow.mark(marks)
    return flow.rows(width)


def shown(text: str, width: int = 40, *marks: Mark) -> list[str]:
    return [row.text.rstrip() for row in rows(text, width, *marks)]


def test_the_usual_forms() -> None:
    assert shown(MARKDOWN) == [
        "Title", "Strong and em with code [1][2], see [1,", "3].", "", "• one", "  • two", "1. three", "▎ quote", "│ py",
        "│ x  =  1", "│", "end",
    ]  # fmt: skip


def test_only_citation_marks_are_links_and_lead_to_a_number() -> None:
    hostile = "[click](file:///etc/passwd) <https://x> [1] [@click=app.bell]x[/] ![i](http://x) [2](http://x) [9999]"
    links = [piece.link for row in rows(hostile, 200) for piece in row.pieces if piece.link]
    assert links == [("source", "1"), ("source", "2")]
    assert shown(hostile, 200) == [hostile]


@given(TEXTS, st.integers(8, 40), st.lists(st.integers(1, 9), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_growing_by_pieces_gives_the_same_rows(text: str, width: int, sizes: list[int]) -> None:
    flow, at = Flow(), 0
    for number in range(len(text)):
        if at >= len(text):
            break
        size = sizes[number % len(sizes)]
        flow.extend(text[at : at + size])
        flow.rows(width)
        at += size
    assert flow.rows(width) == rows(text, width)


@given(TEXTS, st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_no_row_is_wider_than_the_screen_and_no_word_is_lost(text: str, width: int) -> None:
    found = rows(text, width)
    assert all(cell_len(row.text.rstrip()) <= width for row in found)
    letters = "".join(character for character in "".join(row.text for row in found) if character in "ab漢é")
    assert letters == "".join(character for character in text if character in "ab漢é")


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_every_run_says_where_it_stands(text: str) -> None:
    for line, _ in read_lines(text):
        for run in line.runs:
            if run.start is not None and run.style != "dim":
                assert text[run.start : run.start + len(run.text)] == run.text


@pytest.mark.parametrize("end", [12, 99])
def test_a_marked_sentence_is_styled_and_followed_by_words(end: int) -> None:
    mark = Mark(5, end, "unsupported", (Run(" ‹! no›", "warning"),))
    (row,) = rows("One. Two [1]", 40, mark)
    assert [(piece.text, piece.style) for piece in row.pieces] == [
        ("One. ", ""), ("Two ", "unsupported"), ("[1]", "cite unsupported"), (" ‹! no›", "warning"),
    ]  # fmt: skip


def test_a_mark_over_two_lines_ends_in_the_second() -> None:
    mark = Mark(0, 7, "unsupported", (Run(" ‹!›", "warning"),))
    assert shown("One\ntwo.", 40, mark) == ["One", "two ‹!›."]


def test_a_hostile_line_takes_no_time() -> None:
    shown("*a" * 20000, 80)
    shown("`" * 20000, 80)
    shown("[" * 20000, 80)

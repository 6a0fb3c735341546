"""Conversations go out with where they come from, and come back as they were; what comes from elsewhere is checked."""

import json
import re
import stat
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from assistant.errors import HistoryError
from assistant.history.conversation import MAX_TAG, MAX_TAGS, MAX_TITLE, ROLES, Conversation, Message, State
from assistant.history.details import doubtful
from assistant.history.exporting import export, import_file
from assistant.history.json_form import Found, document_of, read_document
from assistant.history.markdown_form import page, shown
from assistant.history.store import History
from assistant.history.views import print_conversation
from assistant.plaintext import plain, plain_line
from models.errors import StorageError
from tests.assistant.history.conftest import JSON, PATIENT, TEXTS, answer, question, whole

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(timezone.utc))  # noqa: DTZ001
IDS = st.text("0123456789abcdef", min_size=32, max_size=32)


@st.composite
def conversations(draw: st.DrawFn) -> list[Found]:
    found: list[Found] = []
    for place in range(draw(st.integers(0, 2))):
        ids = draw(st.lists(IDS, unique=True, max_size=5))
        messages = [
            Message(
                id=f"{place}{each[1:]}",
                parent=draw(st.sampled_from([None, *(f"{place}{other[1:]}" for other in ids[:number])])),
                role=draw(st.sampled_from(ROLES)),
                text=plain(draw(TEXTS)),
                written_at=draw(TIMES),
                state=draw(st.sampled_from(("complete", "stopped", "failed"))),
                details=draw(st.dictionaries(TEXTS, JSON, max_size=3)),
            )
            for number, each in enumerate(ids)
        ]
        tags = tuple(dict.fromkeys(filter(None, map(plain_line, draw(st.lists(TEXTS, max_size=3))))))
        tip = draw(st.sampled_from([None, *(message.id for message in messages)]))
        name = f"{place:032x}"
        found.append((Conversation(name, plain_line(draw(TEXTS)), draw(TIMES), draw(TIMES), tags, tip), messages))
    return (
        found
        if len({m.id for _, ms in found for m in ms} | {c.id for c, _ in found}) == sum(1 + len(ms) for _, ms in found)
        else []
    )


@pytest.fixture
def talked(history: History) -> Conversation:
    """A conversation with everything that an answer can have."""
    begun = history.start("Ankle of Mrs Smith")
    asked = replace(question("Mrs Smith, DOB 12/03/1956, 500 mg?"), details={"note": "MRN 00123456"})
    told = answer(
        "Dr Smith: rest. [1] Eat ice.",
        asked,
        model="reference",
        versions={
            "model_sha256": "ab" * 32,
            "libraries": {"starter": "2026-11-21.9f"},
            "bedside": "0.1.0",
            "left_out": {},
        },
        evidence="sufficient",
        notice="not for clinical use",
        sources=[
            {
                "n": 1,
                "id": "starter/ankle#1@9f",
                "title": "Ankle",
                "section": "Care",
                "date": "2026-11-21",
                "licence": "CC0",
            }
        ],
        checks=[
            {"start": 0, "end": 19, "cites": [1], "status": "supported", "reasons": []},
            {"start": 20, "end": 28, "cites": [], "status": "unsupported", "reasons": ["overlap"]},
        ],
        red_flags={
            "findings": [
                {"rule": "r", "meaning": "danger", "source": "NICE (2020)", "start": 1, "end": 3, "places": [{}]}
            ]
        },
    )
    for message in (asked, told):
        history.add(begun.id, message)
    history.set_tags(begun.id, ["bed 4"])
    return history.conversation(begun.id)


def exported(history: History, path: Path, form: Any, redacted: bool = False) -> str:
    export(history, None, path, form, redacted=redacted, force=False)
    return path.read_text("utf-8")


@PATIENT
@given(conversations())
def test_json_comes_back_as_it_was(found: list[Found]) -> None:
    written = json.dumps(document_of(found, {"notice": "x"})).encode()
    assert read_document(written) == [(conversation, list(messages)) for conversation, messages in found]


@PATIENT
@given(conversations())
def test_a_history_comes_back_through_a_file(found: list[Found]) -> None:
    with closing(History.in_memory()) as one, closing(History.in_memory()) as other:
        one.take_in(found, "imported")
        for history in (other, other):  # twice, and nothing is doubled
            history.take_in(read_document(json.dumps(document_of(whole(one), {})).encode()), "imported")
        assert whole(other) == whole(one)


def test_a_file_is_imported_once(history: History, talked: Conversation, tmp_path: Path) -> None:
    exported(history, tmp_path / "a.json", "json")
    messages = history.messages(talked.id)
    assert vars(import_file(history, tmp_path / "a.json")) == {"conversations": 0, "messages": 0}
    history.add(talked.id, question("later", messages[-1]))
    with closing(History.in_memory()) as other:
        assert vars(import_file(other, tmp_path / "a.json")) == {"conversations": 1, "messages": 2}
        assert other.messages(talked.id) == messages
        exported(history, tmp_path / "b.json", "json")
        assert vars(import_file(other, tmp_path / "b.json")) == {"conversations": 0, "messages": 1}
    assert [event.what for event in history.events(3)] == ["exported", "exported", "opened"]


def test_a_page_says_what_was_answered_by_what_from_where(
    history: History, talked: Conversation, tmp_path: Path
) -> None:
    text = exported(history, tmp_path / "a.md", "md")
    for part in (
        "# Ankle of Mrs Smith",
        "Dr Smith: rest. \\[1\\] Eat ice. **(unsupported: overlap)**",
        "- \\[1\\] Ankle: Care (2026-11-21; CC0; starter/ankle\\#1\\@9f)",
        "- Red flag: danger (NICE (2020))",
        "- Model: reference",
        f"- Model sha256: {'ab' * 32}",
        "- Library starter: 2026-11-21.9f",
        "- Bedside: 0\\.1.0",
        "- Notice: not for clinical use",
        f"Conversation: {talked.id}",
        "This file is not encrypted.",
    ):
        assert part in text
    assert re.search(r"Exported by bedside [\d.]+ at 20\d\d-", text)
    assert stat.S_IMODE((tmp_path / "a.md").stat().st_mode) == 0o600


def test_a_page_says_what_it_leaves_out_and_what_did_not_end(
    history: History, talked: Conversation, tmp_path: Path
) -> None:
    asked = history.messages(talked.id)[0]
    history.add(talked.id, replace(answer("Another", asked), state="stopped"))
    text = exported(history, tmp_path / "a.md", "md")
    assert "Messages in other branches, which only the JSON form has: 1" in text
    assert "Eat ice" not in text
    assert "UTC, stopped before its end" in text


@pytest.mark.parametrize("state", ["stopped", "failed", "writing"])
def test_the_evidence_of_a_fragment_is_no_verdict(
    history: History, talked: Conversation, tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    told = history.messages(talked.id)[1]
    assert "- Evidence: sufficient" in exported(history, tmp_path / "whole.md", "md")
    history.change(replace(told, state=state))
    page_of_it = exported(history, tmp_path / "a.md", "md")
    print_conversation(talked, history.messages(talked.id))
    for shown_text in (page_of_it, capsys.readouterr().out):
        assert "not judged as a whole" in shown_text
        assert "sufficient" not in shown_text


def test_identifiers_are_replaced_and_provenance_stays(history: History, talked: Conversation, tmp_path: Path) -> None:
    document = json.loads(exported(history, tmp_path / "a.json", "json", redacted=True))
    [conversation] = document["conversations"]
    asked, told = conversation["messages"]
    assert conversation["title"] == "Ankle of Mrs [name]"
    assert asked["text"] == "Mrs [name], DOB [date], 500 mg?"
    assert asked["details"] == {"note": "MRN [number]"}
    assert told["text"] == "Dr [name]: rest. [1] Eat ice."
    assert [told["text"][check["start"] : check["end"]] for check in told["details"]["checks"]] == [
        "Dr [name]: rest. [1]",
        "Eat ice.",
    ]
    assert told["details"]["sources"][0]["date"] == "2026-11-21"
    assert told["details"]["red_flags"]["findings"] == [{"rule": "r", "meaning": "danger", "source": "NICE (2020)"}]
    assert "others remain" in document["redaction"]
    assert "Smith" not in exported(history, tmp_path / "a.md", "md", redacted=True)
    assert history.messages(talked.id)[0].text == "Mrs Smith, DOB 12/03/1956, 500 mg?"


def test_nothing_is_overwritten_or_half_written(history: History, talked: Conversation, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(HistoryError, match=r"exists already.*--force"):
        exported(history, tmp_path / "there", "md")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HistoryError, match="exists already"):
        exported(history, tmp_path / "link", "md")
    with pytest.raises(HistoryError, match="is a folder"):
        exported(history, tmp_path, "md")
    with pytest.raises(StorageError, match="create its folder first"):
        exported(history, tmp_path / "no" / "a.md", "md")
    assert (tmp_path / "there").read_text() == "mine"
    assert export(history, [talked.id], tmp_path / "there", "md", redacted=False, force=True) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["there"]


MARKUP = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = st.text(alphabet=" \n\t#*_-+=>~`|[]()<>!&;:/\\.1a9@$\"'{}^wht ps", max_size=60)


def test_no_address_becomes_a_link() -> None:
    text = shown("see HTTP://evil.example, WWW.evil.example or a@evil.example")
    assert text == "see HTTP\\://evil.example, WWW\\.evil.example or a\\@evil.example"


def test_what_came_with_an_answer_may_be_anything() -> None:
    checks = [
        3,
        None,
        {"start": 0},
        {"start": -3, "end": 2, "status": "unsupported"},
        {"start": 4, "end": 4, "status": "uncited"},
    ]
    right = {"start": 0, "end": 99, "status": "unsupported", "reasons": "x"}
    told = answer("Eat ice.", question("x"), checks=[*checks, right], sources={}, red_flags=[1])
    assert doubtful(told) == [("Eat ice.", "unsupported")]
    conversation = Conversation("c" * 32, "x", told.written_at, told.written_at, (), told.id)
    assert "Eat ice. **(unsupported)**" in page([(conversation, [replace(told, parent=None)])], [])


@PATIENT
@given(NASTY)
def test_texts_show_as_they_are(text: str) -> None:
    rendered = MARKUP.render(shown(text))
    tags = set(re.findall(r"<[^>]*>", rendered))
    assert tags <= {"<p>", "</p>", "<br>", "<br />"}
    words = re.sub(r"<[^>]*>", " ", rendered)
    for name, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        words = words.replace(name, character)
    assert words.split() == plain(text).split()
    assert not re.search(r"(?<!\\)(?:://|www\.|@)", shown(text).replace("\\\\", ""))


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://evil/p.png)",
        "<img src=http://evil>",
        "[a](javascript:b)",
        "# title",
        "    code",
        "1. x",
        "---",
        "x\n===",
        "&lt;",
    ],
)
def test_nothing_in_a_text_is_markup(text: str) -> None:
    begun = datetime(2026, 1, 1, tzinfo=timezone.utc)
    rendered = MARKUP.render(page([(Conversation("c" * 32, text, begun, begun), [])], []) + "\n\n" + shown(text))
    assert not re.search(r"<(img|a|h2|code|ol|pre)\b", rendered)
    assert rendered.count("<h1>") == 1


@pytest.mark.parametrize("redacted", [False, True])
def test_the_longest_title_and_tags_come_back(history: History, tmp_path: Path, redacted: bool) -> None:
    begun = history.start("Dr Li " + "x" * (MAX_TITLE - 6))
    tags = [f"Dr Li {place:02}".ljust(MAX_TAG, "x") for place in range(MAX_TAGS)]
    history.set_tags(begun.id, tags)
    exported(history, tmp_path / "a.json", "json", redacted)
    with closing(History.in_memory()) as other:
        assert import_file(other, tmp_path / "a.json").conversations == 1
        if not redacted:
            assert whole(other) == whole(history)


def test_what_could_not_come_back_is_not_written(history: History) -> None:
    with pytest.raises(HistoryError, match="title has 1,001 characters and may have 1,000; give a shorter one"):
        history.start("x" * 1001)
    begun = history.start("ankle")
    history.set_tags(begun.id, ["bed 4"])
    for title, tags, said in (
        ("x" * 3000, ["new"], "title has 3,000"),
        (" \x1b\n", ["new"], "at least one character"),
        ("new", ["y", "x" * 5000], "tag has 5,000"),
        ("new", [str(number) for number in range(101)], "101 tags"),
    ):
        with pytest.raises(HistoryError, match=said):
            history.label(begun.id, title, tags)
    kept = history.conversation(begun.id)
    assert (kept.title, kept.tags) == ("ankle", ("bed 4",))

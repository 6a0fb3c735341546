"""What is brought in may come from anywhere: it is checked as a whole, and refused in one line."""

import json
import os
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import HistoryError
from assistant.history.conversation import branch, now
from assistant.history.exporting import export, import_file
from assistant.history.json_form import FaultyDocumentError, read_document
from assistant.history.markdown_form import page
from assistant.history.store import History
from tests.assistant.history.conftest import JSON, PATIENT, talk, whole


def broken(**changed: Any) -> bytes:
    message: dict[str, Any] = {
        "id": "a" * 32,
        "parent": None,
        "role": "user",
        "text": "t",
        "written_at": "2020-11-22T12:00:00+00:00",
        "state": "complete",
        "details": {},
    }
    conversation: dict[str, Any] = {
        "id": "b" * 32,
        "title": "t",
        "started_at": "2020-11-22T12:00:00+00:00",
        "changed_at": "2020-11-22T12:00:00+00:00",
        "tags": [],
        "tip": "a" * 32,
    }
    for name, value in changed.items():
        kind, _, field = name.partition("_")
        {"message": message, "conversation": conversation}[kind][field] = value
    conversations = [{**conversation, "messages": [message]}]
    return json.dumps({"format": "bedside-history", "version": 1, "conversations": conversations}).encode()


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def chain(length: int) -> bytes:
    """A conversation of so many messages, each after the one before."""
    document = json.loads(broken(conversation_tip=f"{length:032x}"))
    [conversation] = document["conversations"]
    [message] = conversation["messages"]
    conversation["messages"] = [
        {**message, "id": f"{place:032x}", "parent": f"{place - 1:032x}" if place > 1 else None}
        for place in range(1, length + 1)
    ]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "lists and objects stand too deep in one another"),
        (b"[1e999]", "1e999 is too large a number"),
        (b"[" + b"9" * 5000 + b"]", "a number has 5,000 digits and may have 100"),
        (broken(message_details={"a": nested(60)}), "details are over 50 lists and objects deep"),
        (b"[]", "no JSON export of a history"),
        (b'{"format": "bedside-history", "version": 2}', "version 2"),
        (b'{"format": "bedside-history", "version": 1}', "conversations is no list"),
        (b'{"format": "bedside-history", "version": NaN}', "NaN is no number"),
        (b'{"format": "bedside-history", "version": 1, "conversations": [3]}', "conversation 1 is no object"),
        (broken(message_id="../../x"), "not 32 hexadecimal digits"),
        (broken(message_id=7), "not 32 hexadecimal digits"),
        (broken(message_role="system"), "role is one of"),
        (broken(message_state=[]), "state is one of"),
        (broken(message_text=None), "text is no text"),
        (broken(message_text="x" * (1 << 20) + "x"), "may have"),
        (broken(message_parent="c" * 32), "does not stand before it"),
        (broken(message_parent="a" * 32), "does not stand before it"),
        (broken(message_written_at="yesterday"), "is no time"),
        (broken(message_written_at="2026-11-22T12:00:00"), "no time zone"),
        (
            broken(message_written_at="0001-01-01T00:00:00+23:59"),
            "in the year 1, and may be in 2000 to 2099; set it right",
        ),
        (broken(message_written_at="9999-12-31T23:59:59+00:00"), "written_at is in the year 9999"),
        (broken(conversation_changed_at="9999-12-31T23:59:59+00:00"), "changed_at is in the year 9999"),
        (broken(conversation_started_at="1999-12-31T23:59:59+00:00"), "started_at is in the year 1999"),
        (broken(message_details=[]), "details are an object"),
        (broken(message_details={"sources": "x"}), "sources of a message are no list of objects"),
        (broken(message_details={"sources": [1, 2]}), "sources of a message are no list of objects"),
        (broken(message_details={"sources": None}), "sources of a message are no list of objects"),
        (broken(message_details={"sources": [{"n": 1}]}), "source's id is no text"),
        (broken(message_details={"checks": {}}), "checks of a message are no list of objects"),
        (broken(message_details={"red_flags": []}), "red_flags of a message is no object"),
        (broken(message_details={"versions": "1"}), "versions of a message is no object"),
        (broken(message_details={"usage": 3}), "usage of a message is no object"),
        (chain(5001), "has 5,001 messages and may have 5,000; divide it"),
        (broken(conversation_tip="c" * 32), "none of its messages"),
        (broken(conversation_id="a" * 32), "was there before"),
        (broken(conversation_tags=["x" * 300]), "short text"),
        (broken(conversation_tags="x"), "tags is no list"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(history: History, tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(HistoryError, match=said) as caught:
        import_file(history, tmp_path / "x.json")
    assert "\n" not in str(caught.value)
    assert "nothing was taken in" in str(caught.value)
    assert history.conversations(5) == []


def test_the_longest_conversation_is_read_at_once(history: History, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(chain(5000))
    import_file(history, tmp_path / "x.json")
    begun = time.perf_counter()
    messages = history.messages("b" * 32)
    assert [message.id for message in branch(messages, f"{5000:032x}")] == [message.id for message in messages]
    assert time.perf_counter() - begun < 2  # some 50 ms; each with each would take minutes


@PATIENT
@given(
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(
            [
                "message_id",
                "message_text",
                "message_details",
                "conversation_title",
                "conversation_tip",
                "message_written_at",
            ]
        ),
        JSON,
    ).map(lambda changed: broken(**changed))
)
def test_no_document_ends_in_a_traceback(data: bytes) -> None:
    try:
        found = read_document(data)
    except FaultyDocumentError:
        return
    with closing(History.in_memory()) as history:
        history.take_in(found, "imported")
        page(whole(history), [])


def test_a_message_of_another_conversation_is_refused(history: History, tmp_path: Path) -> None:
    [asked, _] = history.messages(talk(history, "ankle?", "rest").id)
    (tmp_path / "x.json").write_bytes(broken(message_id=asked.id, conversation_tip=asked.id))
    with pytest.raises(HistoryError, match="part of another conversation"):
        import_file(history, tmp_path / "x.json")
    assert len(history.conversations(5)) == 1


def test_an_answer_that_was_being_written_elsewhere_is_stopped_here(history: History, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(broken(message_role="assistant", message_state="writing"))
    import_file(history, tmp_path / "x.json")
    assert history.messages("b" * 32)[0].state == "stopped"


def test_a_missing_file_is_said(history: History, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"cannot read .*No such file"):
        import_file(history, tmp_path / "none.json")


def test_what_is_no_file_is_not_waited_for(history: History, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = threading.Timer(2, lambda: (tmp_path / "pipe").write_text(""))  # who waits is let go, and fails
    reading.daemon = True
    reading.start()
    for place in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with pytest.raises(HistoryError, match="is no regular file; name a JSON export"):
            import_file(history, place)
    reading.cancel()


def test_the_deepest_details_are_shown_and_redacted(history: History, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(broken(message_details={"a": nested(48)}))
    import_file(history, tmp_path / "x.json")
    assert export(history, None, tmp_path / "y.json", "json", redacted=True, force=False) == 1


def test_what_is_of_days_ahead_is_refused_by_a_clock_that_is_right(history: History, tmp_path: Path) -> None:
    (tmp_path / "unknown").mkdir()
    root = tmp_path / "right"
    (root / "run/systemd/timesync").mkdir(parents=True)
    (root / "run/systemd/timesync/synchronized").touch()
    soon, later = ((now() + timedelta(hours=hours)).isoformat() for hours in (23, 25))
    for name in ("message_written_at", "conversation_changed_at", "conversation_started_at"):
        (tmp_path / "x.json").write_bytes(broken(**{name: later}))
        with pytest.raises(HistoryError, match="which is to come; set it right in the file; nothing was taken in"):
            import_file(history, tmp_path / "x.json", root)
    assert import_file(history, tmp_path / "x.json", tmp_path / "unknown").conversations == 1
    history.purge(None)
    (tmp_path / "x.json").write_bytes(broken(message_written_at=soon))
    assert import_file(history, tmp_path / "x.json", root).conversations == 1

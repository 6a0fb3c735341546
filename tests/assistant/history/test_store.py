"""Conversations are kept as they were told, in memory as well as on disk."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as driver

from assistant.errors import HistoryError
from assistant.history.conversation import MAX_MESSAGES, MAX_TEXT, Conversation, branch
from assistant.history.place import database_file
from assistant.history.store import History
from tests.assistant.history.conftest import Home, answer, question, talk

Talked = Callable[..., Conversation]


@pytest.fixture(params=["memory", "disk"])
def either(request: pytest.FixtureRequest, home: Home) -> Iterator[History]:
    with closing(History.in_memory() if request.param == "memory" else home.open()) as history:
        yield history


def test_what_was_added_is_there_in_its_order(either: History) -> None:
    begun = either.start("Ankle")
    asked = question("Sprained ankle?")
    told = answer("Rest. [1]", asked, model="m", sources=[{"n": 1}], nested={"a": [1.5, None, "ü"]})
    either.add(begun.id, asked)
    either.add(begun.id, told)
    assert either.messages(begun.id) == [asked, told]
    kept = either.conversation(begun.id)
    assert (kept.title, kept.tip, kept.changed_at) == ("Ankle", told.id, told.written_at)
    assert either.conversations(10) == [kept]


def test_a_clock_that_went_back_makes_no_conversation_older(either: History) -> None:
    begun = talk(either, "question")
    early = question("earlier?", either.messages(begun.id)[0])
    either.add(begun.id, replace(early, written_at=early.written_at - timedelta(days=9)))
    assert either.conversation(begun.id).changed_at == begun.changed_at


def test_branches_stay_and_one_is_shown(either: History) -> None:
    begun = either.start("x")
    asked = question("first")
    either.add(begun.id, asked)
    told = answer("one", asked)
    again = answer("two", asked)
    for message in (told, again):
        either.add(begun.id, message)
    assert branch(either.messages(begun.id), either.conversation(begun.id).tip) == [asked, again]
    either.show_branch(begun.id, told.id)
    assert branch(either.messages(begun.id), either.conversation(begun.id).tip) == [asked, told]
    other = talk(either, "other")
    with pytest.raises(HistoryError, match="not in this conversation"):
        either.show_branch(begun.id, str(other.tip))


def test_an_answer_grows_and_ends(either: History) -> None:
    begun = talk(either, "question")
    asked = either.messages(begun.id)[0]
    growing = replace(answer("", asked), state="writing")
    either.add(begun.id, growing)
    for text in ("Rest", "Rest and", "Rest and ice"):
        either.change(replace(growing, text=text, state="writing"))
    either.change(replace(growing, text="Rest and ice.", state="complete", details={"model": "m"}))
    assert either.messages(begun.id)[1] == replace(
        growing, text="Rest and ice.", state="complete", details={"model": "m"}
    )
    assert [hit.message_id for hit in either.search("ice", 5)] == [growing.id]
    assert either.faults() == []


def test_titles_and_tags(either: History) -> None:
    one, two = talk(either, "one"), talk(either, "two")
    either.rename(one.id, " Bed\n4 ")
    either.set_tags(one.id, ["mr x", "mr x", "", "ward 3"])
    assert either.conversation(one.id).title == "Bed 4"
    assert either.conversation(one.id).tags == ("mr x", "ward 3")
    assert [each.id for each in either.conversations(5, tag="ward 3")] == [one.id]
    assert [each.id for each in either.conversations(5)] == [two.id, one.id]
    assert either.conversations(1, tag="ward") == []


def test_what_is_kept_can_be_shown_on_a_terminal(either: History) -> None:
    begun = talk(either, "\x1b]52;c;aGk=\x07red\u202e \ud800 \x00flag")
    either.set_tags(begun.id, ["\x9bm"])
    assert either.messages(begun.id)[0].text == "]52;c;aGk=red \ufffd flag"
    assert either.conversation(begun.id).tags == ("m",)


def test_what_cannot_be_is_refused_and_changes_nothing(either: History) -> None:
    begun = talk(either, "question")
    asked = either.messages(begun.id)[0]
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: either.add("0" * 32, question("x")), "no conversation"),
        (lambda: either.add(begun.id, asked), "already"),
        (lambda: either.add(begun.id, answer("x", question("elsewhere"))), "not in this conversation any more"),
        (lambda: either.change(question("x")), "not in the history any more"),
        (lambda: either.messages("nope"), "no conversation 'nope'; see bedside history list"),
        (lambda: either.remove("nope"), "no conversation"),
        (lambda: either.rename("nope", "x"), "no conversation"),
    ]
    for attempt, said in refused:
        with pytest.raises(HistoryError, match=said):
            attempt()
    assert either.messages(begun.id) == [asked]
    assert either.faults() == []


def test_memory_reaches_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEDSIDE_HISTORY", str(tmp_path / "history"))
    with closing(History.in_memory()) as history:
        talk(history, "incognito " * 20_000)
        assert not history.persistent
        assert history.search("incognito", 5)
    assert list(tmp_path.rglob("*")) == []


def test_what_was_in_memory_is_adopted_whole(history: History) -> None:
    with closing(History.in_memory()) as memory:
        first, second = talk(memory, "one", "two"), talk(memory, "three")
        memory.set_tags(first.id, ["tag"])
        growing = replace(answer("gro", memory.messages(second.id)[0]), state="writing")
        memory.add(second.id, growing)
        history.adopt(memory)
        assert history.conversations(5) == memory.conversations(5)
        for each in (first, second):
            assert history.messages(each.id) == memory.messages(each.id)
    history.change(replace(growing, text="grown", state="complete"))
    assert history.messages(second.id)[-1].text == "grown"
    assert [(event.what, event.count) for event in history.events(1)] == [("adopted", 2)]


def test_what_was_kept_is_there_again_and_nothing_of_it_in_clear(home: Home) -> None:
    with closing(home.open()) as history:
        begun = talk(history, "Sprained ankle, xylophone", "Rest")
        messages = history.messages(begun.id)
    with closing(home.open()) as history:
        assert history.messages(begun.id) == messages
        assert history.persistent
    for path in (path for path in home.folder.rglob("*") if path.is_file()):
        assert b"xylophone" not in path.read_bytes()
        assert b"SQLite" not in path.read_bytes()


def test_another_key_is_told_from_damage_only_by_the_remedy(home: Home) -> None:
    with pytest.raises(HistoryError, match="damaged, or belongs to another key; restore a backup"):
        History.open(home.folder, b"\0" * 32)


@pytest.mark.parametrize("place", [0, 20, 4000, 4096 + 100, -100])
def test_a_flipped_bit_is_told(home: Home, place: int) -> None:
    with closing(home.open()) as history:
        talk(history, *("words to fill some pages " * 300 for _ in range(10)))
    assert faults(home) == []
    path = database_file(home.folder)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert faults(home)


def faults(home: Home) -> list[str]:
    try:
        with closing(home.open()) as history:
            return history.faults()
    except HistoryError as error:
        return [str(error)]


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\0" * 5000])
def test_a_file_of_something_else_is_never_taken_for_a_new_history(home: Home, content: bytes) -> None:
    database_file(home.folder).write_bytes(content)
    with pytest.raises(HistoryError, match=r"damaged|no history of Bedside"):
        home.open()


def test_a_newer_format_is_said(home: Home) -> None:
    connection = driver.connect(database_file(home.folder))
    connection.execute(f"PRAGMA key = \"x'{home.key.hex()}'\"")
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(HistoryError, match=r"newer Bedside \(format 9, this one reads 1\); update Bedside"):
        home.open()


def test_the_audit_is_only_added_to(home: Home, talked: Talked, history: History) -> None:
    talked("secret words")
    history.remove(history.conversations(1)[0].id)
    assert [event.what for event in history.events(9)] == ["removed", "opened", "created"]
    connection = driver.connect(database_file(home.folder))
    connection.execute(f"PRAGMA key = \"x'{home.key.hex()}'\"")
    for statement in ("DELETE FROM audit", "UPDATE audit SET count = 0"):
        with pytest.raises(driver.DatabaseError, match="only added to"):
            connection.execute(statement)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(audit)")]
    connection.close()
    assert columns == ["number", "at", "what", "count"]


def test_wrong_passphrases_are_counted_until_the_next_opening(home: Home) -> None:
    for wrong in ("one wrong one", "another wrong"):
        with pytest.raises(HistoryError):
            home.vault.unlock(wrong)
    home.open().close()
    with closing(home.open()) as history:
        assert [(event.what, event.count) for event in history.events(3)][1] == ("wrong passphrases", 2)


def test_what_is_saved_is_on_the_disk_and_what_is_deleted_is_overwritten(history: History) -> None:
    settings = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1, "temp_store": 2}
    connection = history._connection
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings} == settings
    for index in ("message_words", "title_words"):
        assert ("secure-delete", 1) in connection.execute(f"SELECT k, v FROM {index}_config").fetchall()


def test_a_conversation_takes_as_many_messages_as_can_be_brought_in_again(either: History) -> None:
    begun = either.start("long")
    messages = [question(f"{place}") for place in range(MAX_MESSAGES)]
    either.take_in([(begun, messages)], "imported")
    with pytest.raises(HistoryError, match=r"at most 5,000 messages, and this one has them; begin a new one"):
        either.add(begun.id, question("one more"))
    assert len(either.messages(begun.id)) == MAX_MESSAGES
    talk(either, "another conversation takes it")


def test_a_message_is_as_long_as_can_be_brought_in_again(either: History) -> None:
    begun = either.start("x")
    longest = question("x" * MAX_TEXT)
    either.add(begun.id, longest)
    with pytest.raises(
        HistoryError, match=r"has 1,048,577 characters and may have 1,048,576; shorten it, or divide it"
    ):
        either.add(begun.id, question("x" * (MAX_TEXT + 1)))
    with pytest.raises(HistoryError, match="may have 1,048,576"):
        either.change(replace(longest, text=longest.text + "x"))
    assert either.messages(begun.id) == [longest]

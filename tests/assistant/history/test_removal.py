"""What is removed is in no file any more, and nothing is removed by a clock that may be wrong."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from assistant.errors import HistoryError
from assistant.history import database
from assistant.history.clock import clock_state
from assistant.history.conversation import Conversation, Message, new_id, now
from assistant.history.place import database_file
from assistant.history.removal import Purged
from assistant.history.store import History
from tests.assistant.history.conftest import Home, answer, talk
from tests.assistant.history.pages import holds

SECRETS = ("Quetzalcoatl", "xylophagous", "zwitterionic", "Kwashiorkorian")


@pytest.fixture
def synchronised(tmp_path: Path) -> Path:
    """The root of a machine whose clock is right."""
    mark = tmp_path / "root" / "run" / "systemd" / "timesync" / "synchronized"
    mark.parent.mkdir(parents=True)
    mark.touch()
    return tmp_path / "root"


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """The root of a machine that does not say."""
    (tmp_path / "none").mkdir()
    return tmp_path / "none"


def old(history: History, days: float, title: str = "old") -> Conversation:
    """A conversation whose last message was written so many days ago."""
    written = now() - timedelta(days=days)
    message = Message(new_id(), None, "user", title, written, "complete", {})
    conversation = Conversation(new_id(), title, written, written, (), message.id)
    history.take_in([(conversation, [message])], "imported")
    return conversation


def secret(history: History) -> Conversation:
    """A conversation with a rare word in each place where a text can be."""
    title, asked, told, tag = SECRETS
    begun = talk(history, f"{title} one", *["more to fill a page " * 50] * 6)
    first, *_ = history.messages(begun.id)
    history.add(begun.id, answer(f"{told} and so on", first, note=f"{asked} in details"))
    history.set_tags(begun.id, [tag])
    return begun


def found(home: Home) -> dict[str, list[str]]:
    """Where the rare words are, as written or, as the index has them, in small letters."""
    return {
        word: files
        for word in SECRETS
        if (files := sorted({*holds(home.folder, home.key, word), *holds(home.folder, home.key, word.lower())}))
    }


def test_what_is_written_is_seen_by_this_search_of_pages(home: Home) -> None:
    with closing(home.open()) as history:
        secret(history)
        assert set(found(home)) == set(SECRETS)
        assert "history.sqlite3-wal" in found(home)[SECRETS[0]]
    assert set(found(home)) == set(SECRETS)


def test_a_removed_conversation_is_in_no_page(home: Home) -> None:
    with closing(home.open()) as history:
        kept, removed = talk(history, "kept words", "and an answer"), secret(history)
        history.remove(removed.id)
        assert found(home) == {}
        assert [each.id for each in history.conversations(5)] == [kept.id]
        assert history.faults() == []
    assert found(home) == {}


def test_what_was_changed_is_gone_with_the_conversation(home: Home) -> None:
    with closing(home.open()) as history:
        begun = secret(history)
        history.rename(begun.id, "another title")
        history.set_tags(begun.id, [])
        history.remove(begun.id)
        assert found(home) == {}


def test_a_purge_leaves_nothing_and_makes_the_file_small(home: Home) -> None:
    with closing(home.open()) as history:
        empty = database_file(home.folder).stat().st_size
        for number in range(40):
            talk(history, f"{SECRETS[0]} {number}", *["words " * 500] * 3)
        secret(history)
        aside = home.folder / "replaced-20261122T000000Z"
        aside.mkdir()
        (aside / "history.sqlite3").write_bytes(b"a history that was kept aside")
        assert history.purge(None) == Purged(41, is_compact=True)
        assert (found(home), history.conversations(5), aside.exists()) == ({}, [], False)
        assert history.faults() == []
        assert [(event.what, event.count) for event in history.events(3)] == [
            ("purged", 9),
            ("purged", 16),
            ("purged", 16),
        ]
    assert database_file(home.folder).stat().st_size <= empty + 4096
    assert found(home) == {}


def test_another_terminal_that_reads_is_said(home: Home) -> None:
    with closing(home.open()) as history, closing(database.open_file(database_file(home.folder), home.key)) as other:
        history._connection.execute("PRAGMA busy_timeout = 50")
        talk(history, "words")
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM message").fetchone() == (1,)
        assert not history.purge(None).is_compact
        other.execute("COMMIT")
        assert history.purge(None).is_compact


def test_a_purge_by_age_takes_the_old_ones(history: History, synchronised: Path) -> None:
    for days in (31, 400):
        old(history, days)
    young = old(history, 29, "young")
    assert history.purge(30, synchronised).conversations == 2
    assert [each.id for each in history.conversations(5)] == [young.id]


def test_retention_is_off_until_it_is_set(history: History, synchronised: Path) -> None:
    old(history, 5000)
    assert history.apply_retention(synchronised) == (0, None)
    history.set_retention(365)
    assert history.retention_days == 365
    assert len(history.conversations(5)) == 1
    assert history.apply_retention(synchronised) == (1, None)
    assert history.apply_retention(synchronised) == (0, None)
    history.set_retention(None)
    assert not history.retention_days
    what = [(event.what, event.count) for event in history.events(3)]
    assert what == [("retention set", 0), ("retention applied", 1), ("retention set", 365)]


def test_never_by_a_clock_of_which_nothing_is_known(history: History, unknown: Path) -> None:
    old(history, 5000)
    history.set_retention(30)
    removed, reason = history.apply_retention(unknown)
    assert (removed, len(history.conversations(5))) == (0, 1)
    assert reason is not None
    assert "cannot be told to be synchronised" in reason
    with pytest.raises(HistoryError, match="nothing was purged: this machine's clock cannot be told"):
        history.purge(30, unknown)
    assert len(history.conversations(5)) == 1


def test_never_by_a_clock_before_the_newest_message(history: History, synchronised: Path) -> None:
    old(history, 5000)
    old(history, -0.5, "from the future")
    history.set_retention(30)
    removed, reason = history.apply_retention(synchronised)
    assert removed == 0
    assert reason is not None
    assert "earlier than the newest message" in reason
    with pytest.raises(HistoryError, match="earlier than the newest message"):
        history.purge(30, synchronised)
    assert history.purge(None, synchronised).conversations == 2


def test_a_message_of_years_ahead_does_not_stop_it(history: History, synchronised: Path) -> None:
    old(history, 5000)
    ahead = old(history, -3650, "from far ahead")
    assert history.purge(30, synchronised).conversations == 1
    assert [each.id for each in history.conversations(5)] == [ahead.id]


def test_the_state_of_a_clock(synchronised: Path, unknown: Path) -> None:
    assert clock_state(synchronised) == "synchronised"
    assert clock_state(unknown) == "unknown"
    assert clock_state() in ("synchronised", "unsynchronised", "unknown")

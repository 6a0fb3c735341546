"""A terminal that is killed loses nothing that was saved, and leaves others and the next one in peace."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.history.place import key_file, new_mark
from assistant.history.store import History
from assistant.history.vault import Vault
from tests.assistant.history.conftest import PASSPHRASE, QUICK, Home, answer, question, talk

LAST_WORDS_S = 0.4  # so long a writer writes at most before it is killed


@contextmanager
def writing(home: Home) -> Iterator["subprocess.Popen[str]"]:
    """A terminal in a process of its own that has saved something."""
    command = [sys.executable, "-W", "error", "-m", "tests.assistant.history.writer", str(home.folder), home.key.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def killed(home: Home, chance: random.Random) -> list[str]:
    """What a terminal said to be saved until it was killed."""
    with writing(home) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(chance.uniform(0, LAST_WORDS_S))
        process.kill()
        said += process.stdout.readlines()
    return [line for line in said if line.endswith("\n")]


def survive(home: Home, kills: int) -> None:
    chance = random.Random(kills)
    saved: dict[str, tuple[str, int]] = {}
    for _ in range(kills):
        for line in killed(home, chance):
            saved_id, state, text = line.split()
            saved[saved_id] = (state, int(text))
        with closing(home.open()) as history:
            assert history.faults() == []
            kept = {each.id: each for begun in history.conversations(-1) for each in history.messages(begun.id)}
        assert saved.keys() <= kept.keys()
        for message_id, (state, length) in saved.items():
            assert len(kept[message_id].text) >= length
            assert kept[message_id].state == state or (state == "writing" and kept[message_id].state != "writing")
        assert "writing" not in {message.state for message in kept.values()}
    assert len(saved) > 4 * kills


def test_five_kills(home: Home) -> None:
    survive(home, kills=5)


@pytest.mark.slow
def test_fifty_kills(home: Home) -> None:
    survive(home, kills=50)


def test_two_terminals_write_at_once(home: Home) -> None:
    with writing(home) as process, closing(home.open()) as history:
        assert process.stdout is not None
        process.stdout.readline()
        for number in range(20):
            talk(history, f"question {number}", "answer")
        process.stdout.readline()
        mine = [each for each in history.conversations(-1) if each.title.startswith("question")]
        assert len(mine) == 20
        assert len(history.conversations(-1)) > 20
        assert history.faults() == []


def test_an_answer_grows_as_long_as_its_writer_lives(home: Home) -> None:
    with closing(home.open()) as one:
        begun = talk(one, "question")
        growing = replace(answer("Rest", one.messages(begun.id)[0]), state="writing")
        one.add(begun.id, growing)
        with closing(home.open()) as other:
            assert other.messages(begun.id)[-1].state == "writing"
        one.change(replace(growing, text="Rest and ice"))
    with closing(home.open()) as next_one:
        assert next_one.messages(begun.id)[-1] == replace(growing, text="Rest and ice", state="stopped")
        with pytest.raises(Exception, match="not in this conversation"):
            next_one.add(begun.id, answer("x", question("elsewhere")))


def test_nothing_is_left_of_terminals_that_are_gone(home: Home) -> None:
    for _ in range(2):
        killed(home, random.Random(1))
    home.open().close()
    assert sorted(path.name for path in home.folder.iterdir() if path.is_file()) == [
        ".lock",
        "history.sqlite3",
        "key.json",
        "reserve",
    ]
    assert list((home.folder / "writers").iterdir()) == []


def test_power_that_goes_while_a_history_is_made(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "h", QUICK)
    key, _ = vault.create(PASSPHRASE)
    assert new_mark(vault.folder).exists()
    with closing(History.open(vault.folder, key)) as history:
        talk(history, "kept")
    assert not new_mark(vault.folder).exists()
    with closing(History.open(vault.folder, key)) as history:
        assert len(history.conversations(5)) == 1

    other = Vault(tmp_path / "other", QUICK)
    other.create(PASSPHRASE)
    key_file(other.folder).unlink()  # the power went before there was a key: nothing is lost, it can be made again
    key, _ = other.create(PASSPHRASE)
    History.open(other.folder, key).close()

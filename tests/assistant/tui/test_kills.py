"""Terminal or server are killed at any moment: what the terminal had saved is there, and the next start goes on.

Saved is what the database of the killed terminal gives back: each question is there from the moment at which a token of its
answer was on the screen, and an answer that was judged on the screen is there whole.
"""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from assistant.history.store import History
from assistant.history.vault import Vault
from tests.assistant.history.conftest import PASSPHRASE, QUICK
from tests.assistant.tui.tmux import Tmux, end_servers, servers

KILLS = 50
LAST_WORDS_S = 0.5
SETTLED_S = 0.5  # what was on the screen for so long before the kill was saved


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    tmp_path.chmod(0o700)
    Vault(tmp_path / "history", QUICK).create(PASSPHRASE)
    yield tmp_path
    end_servers(tmp_path)


@contextmanager
def opened(folder: Path) -> Iterator[History]:
    vault = Vault(folder / "history", QUICK)
    with closing(History.open(vault.folder, vault.unlock(PASSPHRASE))) as history:
        yield history


def unlocked(folder: Path) -> Tmux:
    tmux = Tmux(folder)
    tmux.until("your history is locked")
    tmux.type(PASSPHRASE)
    tmux.press("Enter")
    tmux.until("saved, encrypted")
    return tmux


def ask(tmux: Tmux, words: str) -> None:
    tmux.type(words)
    tmux.press("Enter")


@pytest.mark.slow
def test_fifty_kills_of_terminal_or_server(folder: Path) -> None:
    chance = random.Random(8)
    asked: set[str] = set()
    judged: set[str] = set()
    for number in range(KILLS):
        tmux = unlocked(folder)
        words = f"How is DVT treated? ({number})"
        ask(tmux, words)
        if number % 2:
            kill_servers(folder, chance)
            tmux.until(f"({number})")  # asked, or back in the input
            ask(tmux, "" if f"({number})" in tmux.screen.rpartition("╭")[2] else words)
            tmux.until("Evidence:")
            time.sleep(SETTLED_S)
        else:
            time.sleep(chance.uniform(0, LAST_WORDS_S))
        is_judged, is_begun = "Evidence:" in tmux.screen, "Sources" in tmux.screen or "[1]" in tmux.screen
        time.sleep(SETTLED_S if is_judged or is_begun else 0)
        terminal = tmux.process
        terminal.kill()
        terminal.wait(10)
        asked |= {words} if is_begun else set()
        judged |= {words} if is_judged else set()
        tmux.close()
        with opened(folder) as history:
            assert history.faults() == []
            kept = [message for each in history.conversations(-1) for message in history.messages(each.id)]
        questions = {message.id: message.text for message in kept if message.role == "user"}
        assert asked <= set(questions.values())
        answers = [message for message in kept if message.role == "assistant" and message.state == "complete"]
        assert judged <= {questions[answer.parent] for answer in answers if answer.parent}
        assert "writing" not in {message.state for message in kept}
    assert len(asked) > KILLS / 2
    assert len(judged) > KILLS / 4


def kill_servers(folder: Path, chance: random.Random) -> None:
    deadline = time.monotonic() + 30
    while not (running := servers(folder)):
        assert time.monotonic() < deadline
    time.sleep(chance.uniform(0, LAST_WORDS_S))
    for server in running:
        server.kill()
        server.wait(10)

"""One session from beginning to end in tmux, with the reference model on a private server (`make test-slow`)."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.assistant.tui.tmux import Tmux, end_servers

PASSPHRASE = "correct horse"


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    tmp_path.chmod(0o700)
    running = Tmux(tmp_path)
    yield running
    running.close()
    end_servers(tmp_path)


def by_name(tmux: Tmux, words: str, shown: str) -> None:
    """A command of the palette."""
    tmux.press("C-p")
    tmux.until("Search for commands")
    tmux.type(words)
    tmux.until(shown)
    time.sleep(0.3)
    tmux.press("Enter")


@pytest.mark.slow
def test_a_whole_session(tmux: Tmux, tmp_path: Path) -> None:
    ask_open_a_passage_and_stop(tmux)
    set_a_passphrase(tmux)
    search_and_export(tmux, tmp_path / "out.md")
    lock_and_unlock(tmux)
    tmux.press("C-q")
    deadline = time.monotonic() + 10
    while tmux.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "How is DVT treated?" in (tmp_path / "out.md").read_text("utf-8")
    written = b"".join(path.read_bytes() for path in (tmp_path / "history").rglob("*") if path.is_file())
    assert b"DVT" not in written


def ask_open_a_passage_and_stop(tmux: Tmux) -> None:
    tmux.until("reference · ctx 0/2,048", 120)
    tmux.type("How is DVT treated?")
    tmux.press("Enter")
    tmux.until("Evidence:")
    tmux.press("C-o")
    tmux.until("» quoted in the answer")
    tmux.press("Escape")
    tmux.until("» quoted in the answer", gone=True)

    tmux.type("And in pregnancy?")
    tmux.tmux("send-keys", "Enter", "Escape")
    tmux.until("■ stopped")
    tmux.until("And in pregnancy?")
    tmux.press("C-u", "Escape")


def set_a_passphrase(tmux: Tmux) -> None:
    by_name(tmux, "set a passphrase", "Keep conversations")
    tmux.until("at least 8 characters")
    tmux.type(PASSPHRASE)
    tmux.press("Enter")
    tmux.until("The same passphrase again")
    tmux.type(PASSPHRASE)
    tmux.press("Enter")
    tmux.until("Recovery code")
    tmux.type(re.findall(r"-([0-9A-Z]{5})\b", tmux.screen)[-1])
    tmux.press("Enter")
    tmux.until("saved, encrypted")


def search_and_export(tmux: Tmux, target: Path) -> None:
    tmux.press("C-g")
    tmux.type("anticoagulation")
    tmux.until("How is DVT treated?")
    tmux.press("Down", "x")
    tmux.until("as it is or redacted?")
    tmux.press("a")
    tmux.until("Export to a file")
    tmux.press("C-u")
    tmux.type(str(target))
    tmux.press("Enter")
    tmux.until("exported to")
    tmux.press("Escape")


def lock_and_unlock(tmux: Tmux) -> None:
    tmux.press("C-l")
    tmux.until("Bedside · locked")
    assert "DVT" not in tmux.screen
    tmux.type(PASSPHRASE)
    tmux.press("Enter")
    # How much is on the screen of the turn before depends on how soon this one was stopped.
    tmux.until("■ stopped")

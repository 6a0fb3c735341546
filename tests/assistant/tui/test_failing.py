"""Faults of the terminal itself: one line on what failed and where, and nothing that was on the screen."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.assistant.conftest import IGNORED

SCRIPT = """
import asyncio, sys
from pathlib import Path
from assistant.tui import app as module
from assistant.tui.link import Link
from assistant.tui.privacy import Privacy

class Failing(module.ChatApp):
    CSS_PATH = Path(module.__file__).with_name("styles.tcss")

    def action_fails(self):
        secret = "Mrs Smith"
        raise RuntimeError(secret)

    def action_fails_in_a_callback(self):
        asyncio.get_running_loop().call_soon(self.action_fails)

    def action_fails_in_a_task(self):
        self.failing = asyncio.create_task(self.close_badly())

    async def close_badly(self):
        self.action_fails()

    def on_ready(self):
        self.playing = asyncio.create_task(play(self))

async def play(app):
    for word in sys.argv[2:]:
        if word == "closing":
            app.session.close = app.close_badly
        elif word == "late":
            app.session.close = late(app, app.session.close)
        else:
            app.call_later(app.run_action, word)
    await asyncio.sleep(0.5)
    if hasattr(app, "failing"):
        del app.failing
    await asyncio.sleep(0.1)
    print(*[each.message for each in app._notifications])
    app.exit()

def late(app, close):
    async def closed():
        app.action_fails_in_a_callback()
        await close()
    return closed

app = Failing(Link("http://127.0.0.1:9", None), "on", Privacy(Path(sys.argv[1])))
app.run(headless=True)
sys.exit(app.return_code)
"""
LINE = "error: the terminal failed (RuntimeError at failing.py:13); what was saved is kept"


def fails(folder: Path, *how: str) -> subprocess.CompletedProcess[str]:
    script = folder / "failing.py"
    script.write_text(SCRIPT, "utf-8")
    command = [sys.executable, *IGNORED, str(script), str(folder), *how]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize("how", [["fails"], ["closing"], ["fails", "fails"], ["fails", "closing", "late"]])
def test_one_line_is_said_of_what_failed(tmp_path: Path, how: list[str]) -> None:
    done = fails(tmp_path, *how)
    assert (" ".join(done.stderr.split()), done.returncode) == (LINE, 1)


@pytest.mark.parametrize("how", ["fails_in_a_callback", "fails_in_a_task"])
def test_what_fails_beside_the_keys_is_told_and_the_conversation_goes_on(tmp_path: Path, how: str) -> None:
    done = fails(tmp_path, how)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "something failed (RuntimeError at failing.py:13)" in done.stdout
    assert "Mrs Smith" not in done.stdout


def test_nothing_is_said_of_what_fails_when_nobody_looks_any_more(tmp_path: Path) -> None:
    done = fails(tmp_path, "late")
    assert (done.stderr, done.returncode) == ("", 0)

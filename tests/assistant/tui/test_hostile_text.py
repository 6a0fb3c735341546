"""Nothing that a model, a passage, a server or a note says can command the terminal: read from a real pseudo-terminal."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.pseudo_terminal import terminal
from benchmarks.scripted_server import ScriptedServer, first, last, piece, serving, source
from tests.assistant.conftest import IGNORED

HOSTILE = (
    "\x1b]52;c;RVZJTA==\x07\x1b[2J\x1b]0;EVIL\x07\x9b31m\x90q\x1b\\\u202eEVIL\u2066 [@click=app.quit]x[/] [/] [bold]b "
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\ [see](https://evil.example) \x08\x7f\r\x0b"
)
FINDING = {
    "rule": HOSTILE, "severity": "emergency", "meaning": HOSTILE, "source": HOSTILE, "message": 0, "start": 0, "end": 3,
    "places": [{"message": 0, "start": 0, "end": 3}], "contacts": [{"name": HOSTILE, "number": HOSTILE, "hours": HOSTILE}],
}  # fmt: skip
FLAGS = {"screened": False, "reason": HOSTILE, "rules": HOSTILE, "findings": [FINDING]}
PASSAGE = {**source(1, HOSTILE, HOSTILE, HOSTILE), **dict.fromkeys(("date", "licence", "follows", "position"), HOSTILE)}
SCRIPT = [
    first([PASSAGE], red_flags=FLAGS, notice=HOSTILE), *(piece(part) for part in re.findall(".{1,3}", HOSTILE, re.DOTALL)),
    piece("", checks=[{"start": 0, "end": 9, "cites": [1], "by": "host", "status": "supported", "reasons": []}]),
    {**last(), "model": HOSTILE},
]  # fmt: skip


def test_hostile_text_reaches_the_terminal_as_text_only(tmp_path: Path) -> None:
    server = ScriptedServer([SCRIPT])
    with serving(server) as url, terminal(tmp_path, "--url", url) as shown:
        shown.read_until("2,048")
        shown.press("\x1b[200~\u202eEVIL\u2066 [@click=app.quit]x[/] \x9b31m\x1b[201~", 0.2)
        shown.press("dvt\r")
        shown.read_until("tok/s")
        shown.press("\x0f")  # Ctrl+O: the passage
        shown.read_until("the next of 1")
        shown.press("\x1b", 0.5)
        server.refusal = HOSTILE
        shown.press("again\r", 1.0)
        assert shown.process.poll() is None
        assert_harmless(shown.written)
        shown.press("\x11", 0.5)  # Ctrl+Q, and again since the conversation is in memory only
        shown.press("\x11", 0.5)
        assert shown.process.wait(10) == 0


def assert_harmless(written: bytes) -> None:
    text = written.decode("utf-8")
    assert "\x1b]52;" not in text
    assert "\x1b]8;" not in text
    assert "\x1b]0;" not in text
    assert "\x1b[2J" not in text
    assert re.findall("[\x80-\x9f\u202a-\u202e\u2066-\u2069\x7f\x0b]", text) == []
    assert "[@click=app.quit]x[/]" in text
    assert "[see](https://evil.example)" in text


def test_what_is_copied_goes_to_the_terminal_and_only_then(tmp_path: Path) -> None:
    server = ScriptedServer([[first(), piece("Copy me."), last()]])
    with serving(server) as url, terminal(tmp_path, "--url", url) as shown:
        shown.read_until("2,048")
        shown.press("dvt\r")
        shown.read_until("tok/s")
        assert b"\x1b]52;" not in shown.written
        shown.press("\x19")  # Ctrl+Y
        shown.read_until("\x1b]52;c;Q29weSBtZS4=\x07")


def test_keys_that_come_in_one_piece_are_taken_in_their_order(tmp_path: Path) -> None:
    server = ScriptedServer([[first(), piece("Done."), last()]])
    with serving(server) as url, terminal(tmp_path, "--url", url) as shown:
        shown.read_until("2,048")
        shown.press("a\nb\rnext", 1.0)  # Ctrl+J, Enter
        shown.press("\x1b[200~x\r\ny\r\x1b[201~\r", 1.0)
    assert [body["messages"][-1]["content"] for body in server.bodies] == ["a\nb", "nextx\ny"]


def test_without_a_terminal_the_way_for_scripts_is_named() -> None:
    command = [sys.executable, *IGNORED, "-m", "assistant", "chat"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: bedside chat needs a terminal; for scripts and pipes there is `bedside ask`\n"

"""Pastes as a terminal sends them, whatever they hold."""

import time
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from textual.events import Key, Paste

from assistant.tui.pasting import PasteParser
from benchmarks.pseudo_terminal import terminal
from benchmarks.scripted_server import ScriptedServer, serving
from tests.assistant.tui.stage import ANSWER

COLOURED = "Patient has \x1b[31mred\x1b[0m results\nshort second line\nthird line\n"
PLAIN = COLOURED.replace("\x1b", "")


def read(*pieces: str) -> list[str]:
    """What comes of it: keys by their names, pastes by their texts."""
    parser = PasteParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    events += parser.feed("")
    return [each.key if isinstance(each, Key) else f"({each.text})" for each in events if isinstance(each, Key | Paste)]


@given(st.integers(1, 200), st.integers(1, 200))
@example(7, 1)
@example(200, 200)
def test_a_paste_is_one_however_it_comes(first: int, size: int) -> None:
    sent = f"a\x1b[A\x1b[200~{COLOURED}\x1b\x1b[201~b\x1b[200~\x1b[20\x1b[201~\x1b[B"
    pieces = [sent[:first], *(sent[place : place + size] for place in range(first, len(sent), size))]
    assert read(*filter(None, pieces)) == ["a", "up", f"({PLAIN})", "b", "([20)", "down"]


def test_a_long_paste_is_read_in_time() -> None:
    sent = f"\x1b[200~{COLOURED * 4000}\x1b[201~"
    start = time.monotonic()
    assert read(*(sent[place : place + 4096] for place in range(0, len(sent), 4096))) == [f"({PLAIN * 4000})"]
    assert time.monotonic() - start < 5


def test_it_comes_into_the_question_as_it_is(tmp_path: Path) -> None:
    server = ScriptedServer([ANSWER])
    with serving(server) as url, terminal(tmp_path, "--url", url) as shown:
        shown.read_until("2,048")
        shown.press(f"\x1b[200~{COLOURED}\x1b[201~", 0.5)
        shown.press("\r")
        shown.read_until("Evidence")
    assert server.bodies[0]["messages"][-1]["content"] == PLAIN.strip()

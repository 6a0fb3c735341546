"""Copying, themes, the palette, help, libraries; and each action by mouse as well."""

import re
import threading
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.color import Color
from textual.theme import Theme

from assistant.tui.app import ChatApp
from assistant.tui.chat import ChatScreen
from assistant.tui.themes import THEMES
from assistant.tui.welcome import HELP
from benchmarks.scripted_server import first, last, piece
from tests.assistant.tui.stage import Stage, play

_OF_THE_FRAME = "#c5c8c6"
CODE = "Run this:\n```sh\nbedside device\n```\nand\n```\nplan\n```\n"


async def click(stage: Stage, word: str) -> None:
    y = next(y for y, row in enumerate(stage.rows) if word in row)
    x = stage.rows[y].index(word)
    await stage.pilot.click("#transcript", offset=(x, y))


def test_answers_and_code_go_to_the_clipboard_of_the_terminal(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask()
        await stage.pilot.press("ctrl+y")
        assert stage.app.clipboard == CODE.strip()
        await stage.until(lambda: "OSC 52" in stage.words)
        await click(stage, "code")
        assert stage.app.clipboard == "bedside device\n\nplan"

    play(scene, tmp_path, [first(), piece(CODE), last()])


def test_every_action_of_a_turn_can_be_clicked(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("dvt?")
        await click(stage, "again")
        await stage.until(lambda: "version 2 of 2" in stage.words)
        await click(stage, "‹ version")
        await stage.until(lambda: "version 1 of 2" in stage.words)
        await click(stage, "copy")
        assert stage.app.clipboard.startswith("Start anticoagulation")
        await click(stage, "edit")
        assert stage.composer.text == "dvt?"

    play(scene, tmp_path)


def test_asking_stopping_and_the_commands_can_be_clicked(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("dvt?")
        await stage.pilot.click("#go")
        await stage.until(lambda: "Half an answer" in stage.words and "Stop" in stage.words)
        await stage.pilot.click("#go")
        assert "■ stopped" in stage.words
        await stage.pilot.click("#menu")
        await stage.until(lambda: "Search for commands" in stage.words)

    play(scene, tmp_path, [first(), piece("Half an answer"), threading.Event()])


def test_a_dialog_is_left_by_a_click(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        for place in [(1, 1), (12, 2)]:  # beside it, and on the words that say so
            await stage.pilot.press("f1")
            await stage.until(lambda: "Help: Esc closes" in stage.words)
            await stage.pilot.click(offset=place)
            await stage.until(lambda: "Help: Esc closes" not in stage.words)

    play(scene, tmp_path)


def test_the_library_is_chosen_by_name(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.press("ctrl+p")
        await stage.type("library off")
        await stage.until(lambda: "nothing is checked" in stage.words)
        await stage.pilot.press("enter")
        await stage.until(lambda: "library off" in stage.words)
        await stage.ask()

    server = play(scene, tmp_path)
    assert server.bodies[0]["bedside"]["knowledge"] == "off"
    assert server.bodies[0]["messages"][0]["role"] == "system"


def test_help_names_every_key(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.press("f1")
        await stage.until(lambda: "Help: Esc closes" in stage.words)
        for words in ("Ctrl+J", "Ctrl+G", "OSC 52", "recovery code"):
            assert words in stage.words
        await stage.pilot.press("escape")

    play(scene, tmp_path, size=(100, 100))


def test_no_key_is_the_prefix_of_tmux_or_screen_and_help_names_each() -> None:
    keys = {
        binding.key for where in (ChatApp, ChatScreen) for binding in where.BINDINGS if isinstance(binding, Binding)
    }
    assert keys.isdisjoint({"ctrl+a", "ctrl+b"})
    told = " ".join(key for _, part in HELP for key, _ in part)
    names = {"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "ctrl+c": "Ctrl+C"}
    for key in keys - set("123456789"):
        shown = names.get(key, key if len(key) == 1 else key.title())
        assert re.search(rf"(?<![\w+]){re.escape(shown)}(?![\w+])", told), key


def test_a_server_that_is_given_by_its_address_keeps_its_model(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.app.session.switch("other")
        await stage.until(lambda: "is not this" in stage.words)
        await stage.ask()

    play(scene, tmp_path)


def test_without_colour_everything_is_still_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene(stage: Stage) -> None:
        await stage.ask()
        assert stage.app.no_color
        fills = set(re.findall(r"fill: (#[0-9a-f]{6})", stage.app.export_screenshot())) - {_OF_THE_FRAME}
        assert [fill for fill in fills if not _is_grey(fill)] == []
        assert "‹! not supported" in stage.words

    play(scene, tmp_path)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_red_flags_stand_out_without_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: Theme) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene(stage: Stage) -> None:
        banner = stage.app.chat.query_one("#flags").styles
        ground, text = (_grey(each.rich_color.get_truecolor().hex) for each in (banner.background, banner.color))
        assert _contrast(ground, _grey(str(theme.background))) >= 4.5
        assert _contrast(ground, text) >= 4.5

    play(scene, tmp_path, theme=theme.name)


def _grey(colour: str) -> str:
    """As Textual shows it without colour."""
    grey = Color.parse(colour).monochrome
    return f"#{grey.r:02x}{grey.g:02x}{grey.b:02x}"


def _is_grey(colour: str) -> bool:
    return len({colour[at : at + 2] for at in (1, 3, 5)}) == 1


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_colour_can_be_read(theme: Theme) -> None:
    variables, grounds = theme.variables, (str(theme.background), str(theme.surface))
    for name in ("dim", "cite", "caution", "good"):
        assert min(_contrast(variables[name], ground) for ground in grounds) >= 4.5, name
    assert _contrast(variables["flagged"], variables["flag"]) >= 4.5

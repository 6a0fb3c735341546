"""What each state looks like, small and large. After a change that is meant: `pytest tests/assistant/tui --snapshot-update`."""

import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from assistant.history.conversation import Message
from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.app import ChatApp
from assistant.tui.link import Link
from assistant.tui.privacy import Privacy
from assistant.tui.themes import CONTRAST, LIGHT
from benchmarks.scripted_server import Script, ScriptedServer, first, last, piece, serving
from tests.assistant.tui.stage import ANSWER, PASSAGES, SUPPORTED, Stage
from tests.assistant.tui.test_writing import NOTE, paste

Scene = Callable[[Stage], Awaitable[None]]
SMALL, LARGE = (80, 24), (160, 48)
BOTH = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x48"])
FINDING = {
    "rule": "shock", "severity": "emergency", "meaning": "Poor perfusion or low blood pressure: possible shock.",
    "source": "A triage tool (2020)", "message": 0, "start": 0, "end": 8,
    "places": [{"message": 0, "start": 0, "end": 8}], "contacts": None,
}  # fmt: skip
FLAGS = {"screened": True, "reason": None, "rules": "2026-11", "findings": [FINDING]}


@pytest.fixture
def looks_as_before(snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Play a scene, and compare the last picture."""
    monkeypatch.setenv("TZ", "UTC")

    def compare(scene: Scene, size: tuple[int, int], script: Script = ANSWER, **options: Any) -> bool:
        server = ScriptedServer([script])
        with serving(server) as url:
            app = ChatApp(Link(url, None), "on", Privacy(tmp_path / "history"), **options)

            async def before(pilot: Any) -> None:
                stage = Stage(app, pilot, server, tmp_path)
                await stage.until(lambda: app.session.readings.model)
                await scene(stage)
                await pilot.pause()

            return bool(snap_compare(app, run_before=before, terminal_size=size))

    return compare


async def ask(stage: Stage) -> None:
    await stage.ask("How is DVT treated?")


@BOTH
def test_welcome(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        pass

    assert looks_as_before(scene, size)


@BOTH
def test_answer(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    assert looks_as_before(ask, size)


@BOTH
def test_passage(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await ask(stage)
        await stage.pilot.press("ctrl+o")

    assert looks_as_before(scene, size)


@BOTH
def test_red_flags_while_the_prompt_is_read(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    hold = threading.Event()

    async def scene(stage: Stage) -> None:
        await stage.type("BP 85-50")
        await stage.pilot.press("enter")
        await stage.until(lambda: "25% done" in stage.words)

    script = [first(PASSAGES, red_flags=FLAGS), piece("", prompt={"done": 50, "total": 200, "cached": 0}), hold]
    assert looks_as_before(scene, size, script)


async def ask_with_flags(stage: Stage) -> None:
    await stage.ask("BP 85-50")


SEVERAL = {**FLAGS, "findings": [FINDING, {**FINDING, "severity": "urgent", "meaning": "Sepsis is possible."}, FINDING]}
FLAGGED = [
    first(PASSAGES, red_flags=SEVERAL),
    piece("Start anticoagulation early. [1] " * 30),
    piece("", checks=[SUPPORTED]),
    last(),
]


def test_several_red_flags_stay_above_a_long_answer(looks_as_before: Callable[..., bool]) -> None:
    assert looks_as_before(ask_with_flags, SMALL, FLAGGED)


def test_red_flags_without_colour(looks_as_before: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert looks_as_before(ask_with_flags, SMALL, FLAGGED)


def test_a_very_small_screen(looks_as_before: Callable[..., bool]) -> None:
    assert looks_as_before(ask_with_flags, (30, 8), FLAGGED)


def test_details(looks_as_before: Callable[..., bool]) -> None:
    async def scene(stage: Stage) -> None:
        await ask(stage)
        await stage.pilot.press("tab", "d")

    assert looks_as_before(scene, SMALL)


@BOTH
def test_note(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await paste(stage, NOTE)
        await stage.type("What now?")
        await stage.until(lambda: "162 tokens" in stage.words)

    assert looks_as_before(scene, size)


@BOTH
def test_history(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    at = datetime(2030, 1, 2, 3, 4, tzinfo=timezone.utc)

    def fill(history: History) -> None:
        for number, title in enumerate(["Croup at night", "DVT and travel"]):
            begun = history.start(title)
            history.add(begun.id, Message(f"m{number}", None, "user", title, at.replace(day=2 + number), "complete"))
            history.set_tags(begun.id, ("ward 3",) if number else ())

    async def scene(stage: Stage) -> None:
        await stage.app.session.book.keeper.call(fill)
        await stage.pilot.press("ctrl+g")
        await stage.until(lambda: "2030-01-03" in stage.words)

    assert looks_as_before(scene, size)


@BOTH
def test_lock(looks_as_before: Callable[..., bool], size: tuple[int, int], tmp_path: Path) -> None:
    Vault(tmp_path / "history").create("correct horse")

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: "Passphrase" in stage.words)

    assert looks_as_before(scene, size)


@BOTH
def test_help(looks_as_before: Callable[..., bool], size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.press("f1")
        await stage.until(lambda: "Help" in stage.words)

    assert looks_as_before(scene, size)


@pytest.mark.parametrize("theme", [LIGHT, CONTRAST])
def test_themes(looks_as_before: Callable[..., bool], theme: str) -> None:
    assert looks_as_before(ask, SMALL, theme=theme)


def test_sixty_columns(looks_as_before: Callable[..., bool]) -> None:
    assert looks_as_before(ask, (60, 24))


def test_without_colour(looks_as_before: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert looks_as_before(ask, SMALL)

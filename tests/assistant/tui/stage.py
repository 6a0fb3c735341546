"""The terminal on a stage: the real application, keys and clicks, and a scripted server."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.events import Key
from textual.pilot import Pilot

from assistant.tui.app import ChatApp
from assistant.tui.composer import Composer
from assistant.tui.link import Link
from assistant.tui.panel import SourcePanel
from assistant.tui.privacy import Privacy
from assistant.tui.transcript import Transcript
from benchmarks.scripted_server import Script, ScriptedServer, first, last, piece, serving, source

PASSAGES = [
    source(
        1, "Deep vein thrombosis", "Treatment", "Start anticoagulation early. A direct oral anticoagulant is usual."
    ),
    source(2, "Deep vein thrombosis", "Recognition", "A swollen calf suggests it. Measure D-dimer."),
]
SUPPORTED = {"start": 0, "end": 32, "cites": [1], "by": "model", "status": "supported", "reasons": []}
UNSUPPORTED = {"start": 33, "end": 53, "cites": [2], "by": "model", "status": "unsupported", "reasons": ["number"]}
ANSWER: Script = [
    first(PASSAGES),
    piece("", prompt={"done": 300, "total": 300, "cached": 0}),
    piece("Start anticoagulation early. [1]"),
    piece("", checks=[SUPPORTED]),
    piece(" Give it 7 times. [2]"),
    piece("", checks=[UNSUPPORTED], evidence="insufficient"),
    last(),
]


@dataclass
class Stage:
    """What a scene plays with."""

    app: ChatApp
    pilot: Pilot[None]
    server: ScriptedServer
    folder: Path

    @property
    def transcript(self) -> Transcript:
        return self.app.chat.query_one(Transcript)

    def opened(self) -> int | None:
        """The passage that is open."""
        return self.app.chat.query_one(SourcePanel).number

    @property
    def composer(self) -> Composer:
        return self.app.chat.query_one(Composer)

    @property
    def rows(self) -> list[str]:
        """The rows of the transcript that are on the screen."""
        shown = self.transcript
        return [strip.text.rstrip() for strip in shown.render_lines(shown.size.region)]

    @property
    def screen(self) -> str:
        """Everything on the screen, row by row."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def words(self) -> str:
        """Everything on the screen, wherever the rows break."""
        return " ".join(self.screen.split())

    async def until(self, holds: Callable[[], Any], timeout_s: float = 20.0) -> None:
        """Play on until something holds."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"never held:\n{self.screen}"
            await self.pilot.pause(0.01)
        await self.pilot.pause()

    async def ask(self, text: str = "dvt?") -> None:
        """Ask, and wait for the end of the answer."""
        count = len(self.server.bodies)
        await self.type(text)
        await self.pilot.press("enter")
        await self.until(lambda: len(self.server.bodies) > count and not self.app.session.is_running)

    async def type(self, text: str) -> None:
        """Press the keys of a text, faster than a person."""
        for character in text:
            self.app.post_message(Key(character, character))
        await self.pilot.pause()


async def enter_twice(stage: Stage) -> None:
    """Two Enters in one piece, as over a slow line."""
    for _ in range(2):
        stage.app.post_message(Key("enter", "\r"))
    await stage.pilot.pause()


def play(
    scene: Callable[[Stage], Awaitable[None]],
    folder: Path,
    *scripts: Script,
    size: tuple[int, int] = (80, 24),
    incognito: bool = False,
    knowledge: str = "on",
    **options: Any,
) -> ScriptedServer:
    """Run a scene from the start of the terminal to its end."""
    server = ScriptedServer(list(scripts or [ANSWER]))

    async def run(url: str) -> None:
        app = ChatApp(Link(url, None), knowledge, Privacy(folder / "history", incognito=incognito), **options)
        async with app.run_test(size=size, notifications=True) as pilot:
            stage = Stage(app, pilot, server, folder)
            await stage.until(lambda: app.session.readings.model)
            await scene(stage)

    with serving(server) as url:
        asyncio.run(run(url))
    return server

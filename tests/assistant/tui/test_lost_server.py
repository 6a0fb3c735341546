"""A server that goes and comes back, and two terminals at one server."""

import asyncio
import threading
from contextlib import ExitStack
from pathlib import Path

from assistant.tui.app import ChatApp
from assistant.tui.link import Link
from assistant.tui.privacy import Privacy
from benchmarks.scripted_server import ScriptedServer, first, last, piece, serving
from tests.assistant.tui.stage import ANSWER, Stage, play


def test_a_question_outlives_its_server(tmp_path: Path) -> None:
    server = ScriptedServer([[first(), piece("Half an answer"), threading.Event()], ANSWER])

    async def run() -> None:
        with ExitStack() as first_life:
            url = first_life.enter_context(serving(server))
            app = ChatApp(Link(url, None), "on", Privacy(tmp_path / "history"))
            async with app.run_test(notifications=True) as pilot:
                stage = Stage(app, pilot, server, tmp_path)
                await stage.until(lambda: app.session.readings.model)
                await stage.type("one?")
                await pilot.press("enter")
                await stage.until(lambda: "Half an answer" in stage.words)
                await asyncio.to_thread(first_life.close)
                await stage.until(lambda: "ended in the middle of an answer" in stage.words)
                assert "Half an answer" in stage.words
                assert stage.composer.text == "one?"
                await pilot.press("enter")
                await stage.until(lambda: "no server answers at" in stage.words)
                assert stage.composer.text == "one?"
                with serving(server, int(url.rpartition(":")[2])):
                    await pilot.press("enter")
                    await stage.until(lambda: "Start anticoagulation" in stage.words)

    asyncio.run(run())
    assert [message["content"] for message in server.bodies[1]["messages"]] == ["one?"]


def test_a_server_that_comes_late_is_asked_for_its_room(tmp_path: Path) -> None:
    server = ScriptedServer([ANSWER])

    async def run() -> None:
        with serving(server) as url:
            port = int(url.rpartition(":")[2])
        app = ChatApp(Link(url, None), "on", Privacy(tmp_path / "history"))
        async with app.run_test(notifications=True) as pilot:
            stage = Stage(app, pilot, server, tmp_path)
            await stage.until(lambda: "no server answers at" in stage.words)
            with serving(server, port):
                await stage.type("one?")
                await pilot.press("enter")
                await stage.until(lambda: "Start anticoagulation" in stage.words)
                await stage.until(lambda: app.session.readings.most_tokens)
                assert app.session.readings.tokens_per_s is not None

    asyncio.run(run())


def test_two_terminals_do_not_disturb_each_other(tmp_path: Path) -> None:
    hold = threading.Event()
    server = ScriptedServer(
        [[first(), piece("For the first"), hold, last()], [first(), piece("For the second"), last()]]
    )

    async def run(url: str) -> None:
        one = ChatApp(Link(url, None), "on", Privacy(tmp_path / "history"))
        async with one.run_test() as pilot_one:
            left = Stage(one, pilot_one, server, tmp_path)
            await left.until(lambda: one.session.readings.model)
            await left.type("one?")
            await pilot_one.press("enter")
            await left.until(lambda: "For the first" in left.words)
            await asyncio.to_thread(play_beside, url, tmp_path)
            assert left.app.session.is_running
            hold.set()
            await left.until(lambda: not left.app.session.is_running)
            assert "For the second" not in left.words

    def play_beside(url: str, folder: Path) -> None:
        async def beside() -> None:
            app = ChatApp(Link(url, None), "on", Privacy(folder / "history"))
            async with app.run_test() as pilot:
                right = Stage(app, pilot, server, folder)
                await right.until(lambda: app.session.readings.model)
                await right.ask("two?")
                assert "For the second" in right.words

        asyncio.run(beside())

    with serving(server) as url:
        asyncio.run(run(url))


def test_a_refused_edit_can_be_left(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("one?")
        await stage.pilot.press("f3", "ctrl+u", "escape")
        await stage.ask("two?")

    server = play(scene, tmp_path)
    assert [len(body["messages"]) for body in server.bodies] == [1, 3]

"""Another model in a running server, with the old one until the new one has proved itself, and never both in memory.

check the new file beside the old model -> let running answers finish -> unload -> a first load in a process that may die
of it -> load -> ten tokens -> remember the choice -> go on. What fails after the unloading brings the old model back.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import Response

from assistant.ask.model_choice import ChosenModel, choose_model
from assistant.engine.first_words import TEST_TOKENS, check_first_words
from assistant.engine.loaded import EngineSettings, LoadedEmbedder, LoadedModel, check_takes_place, open_model
from assistant.errors import EngineClosedError
from assistant.served import Choice, Served, read_choice, write_choice
from assistant.server.errors import ApiError
from assistant.server.gate import SWITCH_PATH
from assistant.server.preparing import Preparing
from assistant.server.service import Service
from assistant.server.sse import KEEP_ALIVE, frame, stream
from assistant.server.watching import KEEP_ALIVE_S
from assistant.server.wire import SwitchRequest
from models.disk import hash_file
from models.errors import BedsideError, ModelFileError, RuntimeFailure
from models.gguf_header import read_header
from models.runtime.trial import trial_load

DRAIN_S = 20.0
"""Answers that run may take so long to finish, as when the server ends."""
_TOLD_S = 2.0
"""And so long to be told that they do not."""
_TRIAL_S = 600.0
"""A file of 5 GB comes from an SD card at 40 MB a second in two minutes."""
_LOOK_S = 0.1
_LOG = logging.getLogger(__name__)
Opened = LoadedModel | LoadedEmbedder
Say = Callable[[str], None]


class Switching:
    """One server's changes of model, one at a time."""

    def __init__(
        self,
        service: Service,
        settings: EngineSettings,
        take: Callable[[Opened], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """`take` puts a loaded model into service, `fail` ends the server."""
        self._service, self._settings, self._take, self._fail = service, settings, take, fail
        self._task: asyncio.Task[dict[str, Any]] | None = None

    def load(self, path: Path) -> Opened:
        """Load a file with the server's settings. Raises what `open_model` does."""
        return open_model(path, self._settings, self._service.power.monitor)

    def begin(self, name: str | None) -> AsyncIterator[bytes]:
        """Change to the model `name`, None for the one before; the frames tell how far it is. Raises ApiError.

        It goes on where the client leaves.
        """
        service = self._service
        if not service.follows_choice:
            raise ApiError(
                409, "this server was started with --model and keeps it; start it without to change it", "model_fixed"
            )
        if self._task is not None and not self._task.done():
            raise ApiError(409, "the model is being changed already; try again once that is done", "model_changing")
        service.text_model()
        said: list[str] = []
        self._task = asyncio.create_task(self._guarded(name, said.append))
        self._task.add_done_callback(_looked_at)
        return _frames(self._task, said)

    async def finish(self) -> None:
        """Until a change that runs has come to its end; the server ends, and no model is loaded any more."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _guarded(self, name: str | None, say: Say) -> dict[str, Any]:
        """A server that lost its model, and could not get it back, would refuse everything for ever."""
        try:
            return await self._switch(name, say)
        except ApiError:
            raise
        except Exception as error:
            if not self._service.draining:
                self._fail(error)
            raise

    async def _switch(self, name: str | None, say: Say) -> dict[str, Any]:
        service, old = self._service, self._service.chosen
        say("checking the file")
        new, choice = await asyncio.to_thread(_refusing, lambda: self._checked(name))
        service.gate.close()
        try:
            say("letting running answers finish")
            await self._unload()
            try:
                loaded = await self._proven(new, choice, say)
            except Exception as error:
                self._go_on()
                say(f"loading {old.name} again")
                self._take(await asyncio.to_thread(self.load, old.path))
                _LOG.warning("kept %s, since %s was not taken: %s", old.name, new.name, error)
                raise ApiError(
                    400, f"{new.name} was not taken, {old.name} serves again: {error}", "model_refused"
                ) from error
            service.chosen = new
            self._take(loaded)
        finally:
            service.gate.open()
        _LOG.warning("serving %s in place of %s", new.name, old.name)
        return {"model": new.name, "before": old.name}

    def _checked(self, name: str | None) -> tuple[ChosenModel, Choice]:
        """The file and what will be remembered; all that can be found out while the old model serves."""
        known, old = read_choice(), self._service.chosen
        wanted = known.before if name is None else Served(name)
        if wanted is None:
            raise ModelFileError("no model was served before this one; name one")
        new = choose_model(wanted.name, trial=lambda _: None)  # not beside the old one: it is tried later
        if new.path == old.path and new.sha256 == old.sha256:
            raise ModelFileError(f"{new.name} is served already")
        if hash_file(new.path) != new.sha256:
            raise ModelFileError(f"{new.path} is not as it was stored; remove it and get it again")
        if wanted.sha256 not in (None, new.sha256):
            raise ModelFileError(f"{new.path} has changed since it was served; name it if you want it all the same")
        if read_header(new.path).pooling != "none":
            raise ModelFileError(f"{new.name} writes no answers; give an embedding model a server of its own")
        check_takes_place(new.path, self._settings, old.path)
        return new, Choice(Served(wanted.name, new.sha256), Served(known.now.name, old.sha256))

    async def _unload(self) -> None:
        """Nobody uses the model any more, then it is freed. Raises RuntimeFailure where somebody still does."""
        service, loaded = self._service, self._service.text_model()
        in_time = await service.gate.wait_until_empty(DRAIN_S)
        service.loaded = None
        await asyncio.to_thread(loaded.end)
        if not in_time and not await service.gate.wait_until_empty(_TOLD_S):
            await service.gate.empty()
        unused = await asyncio.to_thread(service.preparing.close)
        service.preparing = Preparing()
        if not unused:
            raise RuntimeFailure("the model is still being used, so that it cannot be changed; start the server again")
        await asyncio.to_thread(loaded.close)

    async def _proven(self, new: ChosenModel, choice: Choice, say: Say) -> LoadedModel:
        """The new model, loaded, tested and remembered; nothing of it stays in memory where it raises."""
        self._go_on()
        say(f"trying {new.name} in a process of its own")
        await asyncio.to_thread(trial_load, new.path, _TRIAL_S, tokens=TEST_TOKENS)
        self._go_on()
        say(f"loading {new.name}")
        loaded = await asyncio.to_thread(self.load, new.path)
        try:
            assert isinstance(loaded, LoadedModel)
            say("testing it")
            await asyncio.to_thread(check_first_words, loaded)
            await asyncio.to_thread(write_choice, choice)
        except BaseException:
            await asyncio.to_thread(loaded.close)
            raise
        return loaded

    def _go_on(self) -> None:
        if self._service.draining:
            raise EngineClosedError("the server is shutting down; its model was not changed")


def switching_router(switching: Switching) -> APIRouter:
    """The route of `bedside switch`. It is for that command alone, and so in no document."""
    router = APIRouter()

    @router.post(SWITCH_PATH, include_in_schema=False)
    async def switch(body: SwitchRequest, http: HttpRequest) -> Response:
        """Only over the unix socket, and only for those who could replace the server itself."""
        if getattr(http.state, "peer_uid", None) not in (0, os.getuid()):
            raise ApiError(403, "only root and the user of the server may change its model, on its socket", "not_owner")
        return await stream(switching.begin(body.model), SWITCH_PATH)

    return router


def _refusing(check: Callable[[], tuple[ChosenModel, Choice]]) -> tuple[ChosenModel, Choice]:
    try:
        return check()
    except BedsideError as error:
        raise ApiError(400, str(error), "model_refused", "model") from error


def _looked_at(task: "asyncio.Task[dict[str, Any]]") -> None:
    """The client may have left; asyncio would complain of an error that nobody has seen, and it is logged already."""
    if not task.cancelled():
        task.exception()


async def _frames(task: "asyncio.Task[dict[str, Any]]", said: list[str]) -> AsyncIterator[bytes]:
    told, spoke_at = 0, time.monotonic()
    while not task.done() or told < len(said):
        if told < len(said):
            yield frame({"step": said[told]})
            told, spoke_at = told + 1, time.monotonic()
            continue
        if time.monotonic() - spoke_at > KEEP_ALIVE_S:
            yield KEEP_ALIVE
            spoke_at = time.monotonic()
        await asyncio.wait({task}, timeout=_LOOK_S)
    yield frame(task.result())

"""The application: routes, the door before them, and the model that is loaded behind them."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from assistant.ask.model_choice import ChosenModel
from assistant.client.answer import INTENDED_USE
from assistant.engine.loaded import EngineSettings, LoadedEmbedder, LoadedModel
from assistant.errors import EngineClosedError
from assistant.safety.contacts import Contact
from assistant.server.chat import chat_router
from assistant.server.completions import completions_router
from assistant.server.device import device_router
from assistant.server.door import OPEN_PATHS, Door, DoorRules
from assistant.server.embeddings import embeddings_router
from assistant.server.errors import REFUSALS, add_handlers
from assistant.server.knowledge import knowledge_router
from assistant.server.metrics import Metrics
from assistant.server.power import LivePower
from assistant.server.service import Service
from assistant.server.status import status_router
from assistant.server.switching import Switching, switching_router
from assistant.server.tokens import tokens_router
from device.monitor import Monitor

_ROUTERS = (
    chat_router,
    completions_router,
    embeddings_router,
    tokens_router,
    knowledge_router,
    status_router,
    device_router,
)


def create_app(
    model: ChosenModel,
    settings: EngineSettings,
    rules: DoorRules,
    monitor: Monitor,
    contacts: tuple[Contact, ...] = (),
    *,
    follows_choice: bool = False,
) -> FastAPI:
    """An application that loads its model in the background, so that `/health` answers at once.

    A failing load ends the server, and so does an engine that fails: `app.state.failure` holds the error. `monitor`,
    which the engine tells what it computes, is started and stopped with it. With `follows_choice` the model may be changed.
    """
    service = Service(model, follows_choice, Metrics(), LivePower(monitor), contacts=contacts, started_at=time.time())
    service.metrics.watch_engine(lambda: None if service.loaded is None else service.loaded.stats())
    service.metrics.watch_power(monitor)
    # The pages of documentation would fetch their scripts from elsewhere.
    app = FastAPI(
        title="Bedside",
        description=INTENDED_USE,
        version="1",
        lifespan=partial(_lifespan, service),
        docs_url=None,
        redoc_url=None,
        responses=REFUSALS,
    )
    app.openapi = partial(_document, app, rules)  # type: ignore[method-assign]  # as FastAPI has it done
    add_handlers(app)
    for router in _ROUTERS:
        app.include_router(router(service))
    app.state.switching = Switching(service, settings, partial(_take, app, service), lambda error: _fail(app, error))
    app.include_router(switching_router(app.state.switching))
    app.add_middleware(Door, rules=rules, activity=service.activity, gate=service.gate)
    app.state.service = service
    app.state.failure = None
    app.state.on_failure = lambda: None
    return app


@asynccontextmanager
async def _lifespan(service: Service, app: FastAPI) -> AsyncIterator[None]:
    """From the first request that could come to the end: the meter and the model."""
    service.power.monitor.start()
    loading = asyncio.create_task(_load(app, service, app.state.switching))
    try:
        yield
    finally:
        service.draining = True
        with suppress(asyncio.CancelledError):
            await loading
        await app.state.switching.finish()
        # A model that is still used must not be freed: it goes with the process.
        unused = await asyncio.to_thread(service.preparing.close)
        if service.loaded is not None and unused:
            await asyncio.to_thread(service.loaded.close)
        await asyncio.to_thread(service.power.monitor.stop)


def _document(app: FastAPI, rules: DoorRules) -> dict[str, Any]:
    """FastAPI's own document without the 422 that it believes to answer, which is a 400 here, and with the door's key.

    Where no key is asked for, any or none will do, and a client that must send one finds how.
    """
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        bearer = {"type": "http", "scheme": "bearer", "description": "Asked for over TCP where the server has a key"}
        app.openapi_schema.setdefault("components", {})["securitySchemes"] = {"key": bearer}
        needed: list[dict[str, list[str]]] = [{"key": []}] if rules.key is not None else [{}, {"key": []}]
        for path, operations in app.openapi_schema["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                operation["security"] = [] if path in OPEN_PATHS else needed
    return app.openapi_schema


async def _load(app: FastAPI, service: Service, switching: Switching) -> None:
    try:
        _take(app, service, await asyncio.to_thread(switching.load, service.chosen.path))
    except Exception as error:
        _fail(app, error)


def _take(app: FastAPI, service: Service, loaded: LoadedModel | LoadedEmbedder) -> None:
    """Put a loaded model into service."""
    service.loaded = loaded
    service.is_loaded.set()
    # As a daemon: where work that uses the model cannot be stopped, the engine is never closed.
    watching = partial(_watch_engine, asyncio.get_running_loop(), app, service, loaded)
    threading.Thread(target=watching, name="bedside-watching", daemon=True).start()


def _watch_engine(
    loop: asyncio.AbstractEventLoop, app: FastAPI, service: Service, loaded: LoadedModel | LoadedEmbedder
) -> None:
    """A server without an engine would refuse everything for ever; what it ran is told first, in the same loop."""
    loaded.wait()
    try:
        loaded.check_alive()
    except EngineClosedError as error:
        # One that makes room for another model is out of service before it ends.
        if not service.draining and service.loaded is loaded:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_fail, app, error)


def _fail(app: FastAPI, error: Exception) -> None:
    app.state.failure = error
    app.state.on_failure()

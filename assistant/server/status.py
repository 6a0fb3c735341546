"""`/health`, `/ready`, `/metrics`, `/v1/models`: how the server is, and what it has."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from assistant.engine.loaded import LoadedEmbedder
from assistant.server.service import Service
from assistant.server.shapes import Listed, ModelEntry, State

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def status_router(service: Service) -> APIRouter:
    """The routes, over one service."""
    router = APIRouter()

    @router.get("/health", response_model=State)
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/ready", response_model=State)
    async def ready() -> dict[str, str]:
        """The model is loaded and takes requests; 503 otherwise."""
        service.gate.check()
        service.ready()
        return {"status": "ready"}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(service.metrics.text(), media_type=METRICS_TYPE)

    @router.get("/v1/models", response_model=Listed[ModelEntry], response_model_exclude_unset=True)
    async def models() -> dict[str, Any]:
        """The one model."""
        return {"object": "list", "data": [_model(service)]}

    @router.get("/v1/models/{name:path}", response_model=ModelEntry, response_model_exclude_unset=True)
    async def model(name: str) -> dict[str, Any]:
        """The one model, by its name."""
        service.check_model(name)
        return _model(service)

    return router


def _model(service: Service) -> dict[str, Any]:
    loaded = service.loaded
    found: dict[str, Any] = {
        "id": service.name,
        "object": "model",
        "created": int(service.started_at),
        "owned_by": "bedside",
    }
    if loaded is not None:
        found["max_model_len"] = loaded.most_tokens
        found["meta"] = {
            "description": loaded.model.description,
            "size_bytes": loaded.model.size_bytes,
            "parameters": loaded.model.n_params,
        }
        if isinstance(loaded, LoadedEmbedder):
            found["meta"]["dimensions"] = loaded.width
    return found

"""`POST /v1/knowledge/search`: passages without an answer."""

from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from assistant.knowledge.library import source_fields
from assistant.server.grounding import library_names
from assistant.server.service import Service
from assistant.server.shapes import SearchResults
from assistant.server.wire import SearchRequest


def knowledge_router(service: Service) -> APIRouter:
    """The route, over one service."""
    router = APIRouter()

    @router.post("/v1/knowledge/search", response_model=SearchResults)
    async def search(body: SearchRequest) -> dict[str, Any]:
        """The passages that fit a question best, with their scores."""
        names, libraries = library_names(body.libraries or "on"), service.libraries
        found = partial(libraries.search, names, body.query, body.k)
        hits = await run_in_threadpool(libraries.reading, names, found)
        results = [{**source_fields(n, hit.passage), "score": hit.score} for n, hit in enumerate(hits, start=1)]
        return {"query": body.query, "results": results, "left_out": dict(libraries.index(names).left_out)}

    return router

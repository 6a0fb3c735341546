"""`POST /v1/embeddings`: unit vectors of texts, given as strings or token ids, alone or in lists."""

import asyncio
import base64
import json
import time
from functools import partial

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from assistant.engine.embedder import Texts, Vectors, unit
from assistant.engine.loaded import LoadedEmbedder
from assistant.server.errors import ApiError
from assistant.server.preparing import GoOn
from assistant.server.service import Service
from assistant.server.shapes import Embeddings
from assistant.server.watching import unless_disconnected
from assistant.server.wire import EmbeddingRequest
from models.runtime.model import Model


def embeddings_router(service: Service) -> APIRouter:
    """The route, over one service."""
    router = APIRouter()

    @router.post("/v1/embeddings", response_model=None, responses={200: {"model": Embeddings}})
    async def embed(body: EmbeddingRequest, http: HttpRequest) -> Response:
        """Vectors of length 1 for texts."""
        service.check_model(body.model)
        loaded = service.embedding_model()
        if body.dimensions is not None and body.dimensions > loaded.width:
            message = f"dimensions: {body.dimensions} are more than the model's {loaded.width}; ask for fewer"
            raise ApiError(400, message, "invalid_value", "dimensions")
        texts = await service.preparing.run(http, partial(_texts, loaded.model, body))
        vectors = await unless_disconnected(http, _embed(service, loaded, texts))
        return await run_in_threadpool(_response, service.name, body, texts, vectors)

    return router


def _texts(model: Model, body: EmbeddingRequest, go_on: GoOn) -> list[list[int]]:
    """Token ids as they were sent; strings between the tokens that the file puts around a text."""
    given = body.input
    if isinstance(given, str):
        given = [given]
    texts: list[list[int]] = []
    for each in given:
        go_on()
        if isinstance(each, int):
            return [[token for token in given if isinstance(token, int)]]
        texts.append(model.tokenize_whole(each) if isinstance(each, str) else each)
        if not texts[-1]:
            raise ApiError(400, f"input: text {len(texts) - 1} has no token", "invalid_value", "input")
    return texts


async def _embed(service: Service, loaded: LoadedEmbedder, texts: Texts) -> Vectors:
    """The engine's vectors, with the metrics kept; cancelled with whoever waits for them."""
    started = time.monotonic()
    try:
        job = loaded.embedder.submit(texts)
        try:
            vectors = await asyncio.wrap_future(job.vectors)
        finally:
            loaded.embedder.cancel(job)
    except Exception:
        service.metrics.failed()
        raise
    except BaseException:  # the client has left
        service.metrics.left(1)
        raise
    service.metrics.embedded(sum(len(tokens) for tokens in texts), time.monotonic() - started)
    return vectors


def _response(name: str, body: EmbeddingRequest, texts: Texts, vectors: Vectors) -> Response:
    if body.dimensions is not None:
        vectors = unit(vectors[:, : body.dimensions])
    tokens = sum(len(each) for each in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    head = json.dumps({"object": "list", "model": name, "usage": usage})
    # One entry at a time: millions of numbers in one call would keep every other thread of the interpreter waiting.
    data = ", ".join(
        json.dumps({"object": "embedding", "index": place, "embedding": _written(vector, body)})
        for place, vector in enumerate(vectors)
    )
    return Response(f'{head[:-1]}, "data": [{data}]}}', media_type="application/json")


def _written(vector: Vectors, body: EmbeddingRequest) -> str | list[float]:
    if body.is_base64:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(number) for number in vector]

"""Server-sent events as OpenAI's clients expect them."""

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from assistant.server.errors import api_error

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"


def frame(content: dict[str, Any]) -> bytes:
    """One event."""
    return (
        b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"
    )


async def until_done(frames: AsyncIterator[bytes], path: str = "") -> AsyncIterator[bytes]:
    """The frames, then the closing one; after an error the error instead."""
    try:
        async for each in frames:
            yield each
    except Exception as error:
        yield frame(api_error(error, path).body)
        return
    yield DONE


async def stream(frames: AsyncIterator[bytes], path: str = "") -> StreamingResponse:
    """A response that streams the frames of what was sent to `path`.

    What fails before the first of them is raised, so that it gets a status.
    """
    first = await anext(frames, None)

    async def all_frames() -> AsyncIterator[bytes]:
        if first is not None:
            yield first
        async for each in frames:
            yield each

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(until_done(all_frames(), path), media_type="text/event-stream", headers=headers)

"""Refusals in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, never with a text that was sent."""

from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from assistant.errors import EngineClosedError, LibraryError, PromptTooLongError, QueueFullError
from models.errors import BedsideError, RuntimeFailure, TemplateError
from models.runtime.errors import ContextFull, SamplingError, SchemaError, UnknownTokenError

RETRY_AFTER_S = 2


class ErrorDetail(BaseModel):
    """Why a request is refused."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """A refusal."""

    error: ErrorDetail


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": why}
    for status, why in (
        (400, "The request is wrong: `param` names the field"),
        (401, "The key is missing or wrong"),
        (403, "A page of another origin asks"),
        (404, "There is no such model, library or path"),
        (405, "The path has no such method"),
        (411, "The body has no Content-Length"),
        (413, "The body is too large"),
        (415, "The body is not application/json"),
        (429, "Too many requests wait"),
        (500, "The server has failed"),
        (503, "The model is not loaded, or the server is shutting down"),
    )
}
"""What every path may answer."""
_NOT_FIELDS = ("body", "str", "int", "TextPart", "single", "texts", "ids", "id_lists")


@dataclass
class ApiError(Exception):
    """A refusal with its HTTP status."""

    status: int
    message: str
    code: str
    param: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


_KNOWN: tuple[tuple[type[BedsideError], int, str], ...] = (
    (PromptTooLongError, 400, "context_length_exceeded"),
    (ContextFull, 503, "context_full"),
    (QueueFullError, 429, "queue_full"),
    (EngineClosedError, 503, "not_ready"),
    (SchemaError, 400, "invalid_schema"),
    (SamplingError, 400, "invalid_value"),
    (LibraryError, 404, "library_not_found"),
    (UnknownTokenError, 400, "invalid_value"),
    (TemplateError, 400, "invalid_messages"),
    (RuntimeFailure, 500, "engine"),
)


def api_error(error: Exception) -> ApiError:
    """What an error of ours looks like from outside; of any other only its kind is told."""
    if isinstance(error, ApiError):
        return error
    for kind, status, code in _KNOWN:
        if isinstance(error, kind):
            return ApiError(status, str(error), code)
    return ApiError(500, f"the server has failed ({type(error).__name__}); report it", "internal")


def answer(error: ApiError) -> JSONResponse:
    """The response of a refusal."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status in (429, 503) else {}
    return JSONResponse(error.body, error.status, headers)


def add_handlers(app: FastAPI) -> None:
    """Every refusal of the application in the one shape."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return answer(ApiError(400, "the body is not JSON; correct it", "invalid_json"))
        # Of a union's alternatives pydantic names the validator, too; only fields and places are for the client.
        place = [str(part) for part in first["loc"] if str(part).isidentifier() or str(part).isdigit()]
        place = [part for part in place if part not in _NOT_FIELDS]
        message = str(first["msg"]).removeprefix("Value error, ")
        named = f"{'.'.join(place)}: {message}" if place else message
        param = place[0] if place else message.split(maxsplit=1)[0]
        return answer(ApiError(400, named, "invalid_value", param))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return answer(ApiError(error.status_code, str(error.detail), "http_error"))

    @app.exception_handler(ApiError)
    @app.exception_handler(BedsideError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return answer(api_error(error))

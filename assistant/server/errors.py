"""Refusals in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, never with a text that was sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from assistant.errors import DamagedLibraryError, EngineClosedError, LibraryError, PromptTooLongError, QueueFullError
from models.errors import BedsideError, RuntimeFailure, TemplateError
from models.runtime.errors import ContextFull, SamplingError, SchemaError, UnknownTokenError

RETRY_AFTER_S = 2


class ErrorDetail(BaseModel):
    """Why a request is refused."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class RefusedFields(BaseModel):
    """Ours, of a conversation that was screened before it was refused; as with an answer."""

    red_flags: dict[str, Any]


class ErrorBody(BaseModel):
    """A refusal."""

    error: ErrorDetail
    bedside: RefusedFields | None = None


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
_NOT_FIELDS = ("body", "str", "int", "single", "texts", "ids", "id_lists", "parts")
_TEXT_FIELDS = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/tokenize": "messages",
    "/detokenize": "tokens",
}
_LIBRARY_FIELDS = {"/v1/chat/completions": "bedside", "/v1/knowledge/search": "libraries"}
_SCHEMA_FIELDS = {"/v1/chat/completions": "response_format"}


@dataclass
class ApiError(Exception):
    """A refusal with its HTTP status."""

    status: int
    message: str
    code: str
    param: str | None = None
    red_flags: dict[str, Any] | None = None
    """What was found in the conversation before it was refused."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        ours = {} if self.red_flags is None else {"bedside": {"red_flags": self.red_flags}}
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}, **ours}


_KNOWN: tuple[tuple[type[BedsideError], int, str, dict[str, str]], ...] = (
    (PromptTooLongError, 400, "context_length_exceeded", _TEXT_FIELDS),
    (ContextFull, 503, "context_full", {}),
    (QueueFullError, 429, "queue_full", {}),
    (EngineClosedError, 503, "not_ready", {}),
    (SchemaError, 400, "invalid_schema", _SCHEMA_FIELDS),
    (SamplingError, 400, "invalid_value", {}),
    (DamagedLibraryError, 500, "library_damaged", {}),
    (LibraryError, 404, "library_not_found", _LIBRARY_FIELDS),
    (UnknownTokenError, 400, "invalid_value", _TEXT_FIELDS),
    (TemplateError, 400, "invalid_messages", _TEXT_FIELDS),
    (RuntimeFailure, 500, "engine", {}),
)


def api_error(error: Exception, path: str = "") -> ApiError:
    """What an error of ours looks like from outside, where `path` was asked; of any other only its kind is told."""
    if isinstance(error, ApiError):
        return error
    for kind, status, code, fields in _KNOWN:
        if isinstance(error, kind):
            return ApiError(status, str(error), code, fields.get(path))
    if isinstance(error, MemoryError):
        return ApiError(503, "no memory is left for this; try again later, or ask for less", "out_of_memory")
    return ApiError(500, f"the server has failed ({type(error).__name__}); report it", "internal")


def answer(error: ApiError) -> JSONResponse:
    """The response of a refusal."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status in (429, 503) else {}
    return JSONResponse(error.body, error.status, headers)


def add_handlers(app: FastAPI) -> None:
    """Every refusal of the application in the one shape."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer(_invalid(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        refusal = answer(ApiError(error.status_code, str(error.detail), "http_error"))
        refusal.headers.update(error.headers or {})  # a 405 must name what is allowed
        return refusal

    @app.exception_handler(ApiError)
    @app.exception_handler(BedsideError)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return answer(api_error(error, request.url.path))


def _invalid(found: Mapping[str, Any]) -> ApiError:
    """What pydantic found: an entry of `errors()`."""
    if found["type"] == "json_invalid":
        return ApiError(400, "the body is not JSON; correct it", "invalid_json")
    parts = [str(part) for part in found["loc"]]
    if parts[-1] == "[key]":
        parts = parts[:-2]  # the key itself is whatever the client wrote
    # Of a union's alternatives pydantic names the validator, too; only fields and places are for the client.
    place = [part for part in parts if (part.isidentifier() or part.isdigit()) and part not in _NOT_FIELDS]
    message = str(found["msg"]).removeprefix("Value error, ")
    if place:
        return ApiError(400, f"{'.'.join(place)}: {message}", "invalid_value", place[0])
    if found["type"] == "refused":
        return ApiError(400, message, "invalid_value", found["ctx"]["field"])
    return ApiError(400, "the body is not a JSON object; send one", "invalid_value")

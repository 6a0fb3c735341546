"""The OpenAPI document is true: requests made from it are answered as it says, and never with a fault of the server."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel

from assistant.server.shapes import (
    ChatCompletion,
    Completion,
    Detokenized,
    DeviceFacts,
    Listed,
    ModelEntry,
    SearchResults,
    State,
    Tokenized,
    TokenizerInfo,
)
from tests.assistant.server.conftest import Served

ENDLESS = "/v1/device/events"
"""A stream that ends with the server."""
STREAMED = ("/v1/chat/completions", "/v1/completions")
FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_path_keeps_to_the_document(served: Served) -> None:
    paths = set()
    for found in schemathesis.openapi.from_url(f"{served.url}/openapi.json").get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # an invalid document would fail here
        paths.add(operation.path)
        if operation.path != ENDLESS:
            check(operation)
    assert {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/tokenize",
        "/health",
        "/v1/knowledge/search",
        "/v1/device",
        ENDLESS,
    } <= paths


ASKED = [{"role": "user", "content": "How is croup treated?"}]


@pytest.mark.parametrize(
    ("path", "shape", "body"),
    [
        ("/v1/chat/completions", ChatCompletion, {"messages": ASKED, "max_tokens": 3}),
        ("/v1/chat/completions", ChatCompletion, {"messages": ASKED, "max_tokens": 60, "bedside": {"knowledge": "on"}}),
        (
            "/v1/chat/completions",
            ChatCompletion,
            {"messages": ASKED, "max_tokens": 3, "n": 2, "logprobs": True, "top_logprobs": 2},
        ),
        ("/v1/completions", Completion, {"prompt": "Fever", "max_tokens": 3}),
        ("/v1/completions", Completion, {"prompt": ["A", "B"], "max_tokens": 2, "n": 2, "echo": True, "logprobs": 2}),
        ("/v1/knowledge/search", SearchResults, {"query": "croup"}),
        ("/tokenize", Tokenized, {"prompt": "Fever"}),
        ("/detokenize", Detokenized, {"tokens": [40, 41]}),
        ("/tokenizer_info", TokenizerInfo, None),
        ("/v1/models", Listed[ModelEntry], None),
        ("/v1/models/reference", ModelEntry, None),
        ("/v1/device", DeviceFacts, None),
        ("/health", State, None),
        ("/ready", State, None),
    ],
)
def test_answers_have_the_shape_that_is_told(
    served: Served, path: str, shape: type[BaseModel], body: dict[str, Any] | None
) -> None:
    """The shapes allow no other field, so a new one that the document does not name fails here."""
    with served.local() as client:
        found = client.get(path) if body is None else client.post(path, json=body)
        document = client.get("/openapi.json").json()
    assert found.status_code == 200, found.text
    told = shape.model_validate(found.json())
    named = path.replace("/reference", "/{name}")
    operation = document["paths"][named]["get" if body is None else "post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["$ref"].rpartition("/")[2] == type(told).__name__.replace("[", "_").replace("]", "_")
    assert ("text/event-stream" in operation["responses"]["200"]["content"]) == (named in STREAMED)


def test_the_document_tells_who_must_send_a_key(served: Served, guarded: Served) -> None:
    with served.local() as free, guarded.local() as asking:
        documents = [client.get("/openapi.json").json() for client in (free, asking)]
    wanted: list[list[dict[str, Any]]] = [[{}, {"key": []}], [{"key": []}]]
    for document, needed in zip(documents, wanted, strict=True):
        scheme = document["components"]["securitySchemes"]["key"]
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        assert document["paths"]["/v1/completions"]["post"]["security"] == needed
        assert document["paths"]["/health"]["get"]["security"] == []


@pytest.mark.parametrize("shape", ["ChatRequest", "CompletionRequest"])
def test_the_document_tells_the_limits_of_biases(served: Served, shape: str) -> None:
    with served.local() as client:
        told = client.get("/openapi.json").json()["components"]["schemas"][shape]["properties"]["logit_bias"]["anyOf"][
            0
        ]
    assert told["maxProperties"] == 300
    assert (told["additionalProperties"]["minimum"], told["additionalProperties"]["maximum"]) == (-100, 100)


def check(operation: Any) -> None:
    @FEW
    @given(case=operation.as_strategy())
    def answers_as_it_says(case: Any) -> None:
        if isinstance(case.body, dict):
            case.body["max_tokens"] = 2  # a thousand tokens say no more than two
        response = case.call(timeout=60)
        told = operation.definition.raw["responses"]
        assert response.status_code < 500
        assert str(response.status_code) in told, (operation.path, response.status_code, response.text)
        operation.validate_response(response)

    answers_as_it_says()

"""The OpenAPI document is true: requests made from it are answered as it says, and never with a fault of the server."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.assistant.server.conftest import Served

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
        check(operation)
    assert {"/v1/chat/completions", "/v1/completions", "/tokenize", "/health", "/v1/knowledge/search"} <= paths


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

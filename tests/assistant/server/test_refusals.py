"""What a refusal says: which field, and what is wrong with it. No rule for an answer is passed over."""

import json
from typing import Any

import pytest

from tests.assistant.server.conftest import Served

TURNS = [{"role": "user", "content": "What is croup?"}]
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
SCHEMA = {"type": "object"}
NAMED = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
OWN_LEXER = {"type": "object", "x-guidance": {"whitespace_pattern": "x+", "whitespace_flexible": True}}
NESTED = json.loads('{"allOf":[' * 200 + '{"pattern":"a"}' + "]}" * 200)
CALL = {"type": "function", "function": {"name": "f"}}


def refusal(served: Served, path: str, body: Any) -> dict[str, Any]:
    with served.local() as client:
        found = client.post(path, json=body)
    assert found.status_code in (400, 404), found.text
    told: dict[str, Any] = found.json()["error"]
    assert told["type"] == "invalid_request_error"
    assert "\n" not in told["message"]
    return told


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("grammar", 'root ::= "a"'),
        ("guided_json", {}),
        ("guided_regex", "a+"),
        ("guided_choice", ["a", "b"]),
        ("guided_grammar", "root ::= a"),
        ("structured_outputs", {"regex": "a+"}),
        ("json_schema", {}),
        ("regex", "a+"),
        ("ebnf", "root ::= a"),
        ("tool_choice", "required"),
        ("tool_choice", CALL),
        ("function_call", {"name": "f"}),
    ],
)
def test_a_rule_for_the_answer_that_is_not_kept_is_refused(served: Served, path: str, field: str, value: Any) -> None:
    told = refusal(served, path, {"messages": TURNS, "prompt": "x", "max_tokens": 1, field: value})
    assert (told["param"], told["message"]) == (field, f"{field} is not supported; leave it out")


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_fields_that_ask_for_nothing_are_ignored(served: Served, path: str) -> None:
    idle: dict[str, Any] = {
        "grammar": "",
        "guided_json": None,
        "tools": [],
        "tool_choice": "auto",
        "user": "u",
        "metadata": {},
    }
    with served.local() as client:
        found = client.post(
            path,
            json={"messages": TURNS, "prompt": "x", "max_tokens": 1, "response_format": {"type": "text"}, **idle},
        )
    assert found.status_code == 200, found.text


@pytest.mark.parametrize("form", [NAMED, {"type": "json_object"}])
def test_a_completion_is_kept_to_no_schema_and_says_so(served: Served, form: dict[str, Any]) -> None:
    told = refusal(served, COMPLETIONS, {"prompt": "x", "response_format": form})
    assert (told["param"], told["message"]) == ("response_format", "response_format.type: Input should be 'text'")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({**NAMED, "type": "text"}, "go together"),
        ({**NAMED, "type": "json_object"}, "go together"),
        ({"type": "json_object", "schema": SCHEMA}, "give the schema as json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"schema": OWN_LEXER}}, "x-guidance"),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}, "cannot be used"),
        ({"type": "json_schema", "json_schema": {"schema": NESTED}}, "nested more than 100 deep"),
    ],
)
def test_a_schema_that_would_not_be_what_it_seems_is_refused(served: Served, form: dict[str, Any], said: str) -> None:
    told = refusal(served, CHAT, {"messages": TURNS, "response_format": form})
    assert told["param"] == "response_format"
    assert said in told["message"]


def chat_of(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


IMAGE = [{"type": "text", "text": "Is this a rash?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]


@pytest.mark.parametrize(
    ("path", "body", "param", "said"),
    [
        (CHAT, chat_of(IMAGE), "messages", "messages.0.content.1: images are not supported; send text only"),
        (CHAT, chat_of([{"type": "Zebulon"}]), "messages", "parts of this type are not supported"),
        (CHAT, [], None, "the body is not a JSON object"),
        (CHAT, 5, None, "the body is not a JSON object"),
        ("/tokenize", {"content": "x"}, "prompt", "prompt or messages"),
        (CHAT, {"messages": TURNS, "logit_bias": {"5": 101}}, "logit_bias", "less than or equal to 100"),
        (CHAT, {"messages": TURNS, "logit_bias": {"Zebulon": 101}}, "logit_bias", "logit_bias: Input should be a valid"),
        (CHAT, {"messages": TURNS, "logit_bias": {"999999": 1}}, "logit_bias", "outside the vocabulary"),
        (CHAT, {"messages": TURNS, "bedside": {"knowledge": ["none"]}}, "bedside", "no library named"),
        ("/v1/knowledge/search", {"query": "x", "libraries": ["none"]}, "libraries", "no library named"),
        (CHAT, chat_of("cough " * 5000), "messages", "tokens"),
        (COMPLETIONS, {"prompt": "cough " * 5000}, "prompt", "tokens"),
        (COMPLETIONS, {"prompt": "cough " * 5000, "stream": True}, "prompt", "tokens"),
        (COMPLETIONS, {"prompt": [2**30]}, "prompt", "outside the vocabulary"),
        ("/tokenize", {"prompt": "cough " * 80_000}, "prompt", "characters"),
        ("/tokenize", chat_of("cough " * 80_000), "messages", "characters"),
        ("/detokenize", {"tokens": [2**30]}, "tokens", "outside the vocabulary"),
        (COMPLETIONS, {"prompt": "x", "stop": ["a"] * 17}, "stop", "at most 16 items"),
        (COMPLETIONS, {"prompt": "x", "stop": [""]}, "stop", "stop.0: String should have at least 1 character"),
        (COMPLETIONS, {"prompt": "x", "stop": ["a", 5]}, "stop", "stop.1: Input should be a valid string"),
        (COMPLETIONS, {"prompt": "x", "stop": 5}, "stop", "stop: Input should be a valid string"),
        (COMPLETIONS, {"prompt": ["x"] * 65}, "prompt", "at most 64 items"),
        (COMPLETIONS, {"prompt": [1, "x"]}, "prompt", "prompt.1: Input should be a valid integer"),
        (COMPLETIONS, {"prompt": "x", "max_tokens": 0}, "max_tokens", "gives nothing without echo"),
    ],
)  # fmt: skip
def test_the_field_and_what_is_wrong_with_it_are_named(
    served: Served, path: str, body: Any, param: str | None, said: str
) -> None:
    told = refusal(served, path, body)
    assert (told["param"], said in told["message"]) == (param, True), told
    assert "Zebulon" not in told["message"]


def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(served: Served) -> None:
    with served.local() as client:
        found = client.get("/tokenize")
    assert (found.status_code, found.headers["Allow"]) == (405, "POST")
    assert found.json()["error"]["code"] == "http_error"


def test_an_empty_body_is_said_to_be_none(served: Served) -> None:
    with served.local() as client:
        told = client.post(CHAT, content=b"", headers={"Content-Type": "application/json"}).json()["error"]
    assert (told["param"], told["message"]) == (None, "the body is not a JSON object; send one")

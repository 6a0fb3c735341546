"""What is turned away, and how; and that clients who leave give their place back."""

import json
import socket
import time
from typing import Any

import httpx2 as httpx
import pytest

from assistant.server.door import DoorRules, names_of
from tests.assistant.server.conftest import KEY, Served

TURNS = [{"role": "user", "content": "What is croup?"}]
CHAT = "/v1/chat/completions"


def schema_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"schema": schema}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({}, "messages"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": TURNS, "temperature": float("nan")}, "temperature"),
        ({"messages": TURNS, "temperature": 3}, "temperature"),
        ({"messages": TURNS, "n": 9}, "n"),
        ({"messages": TURNS, "max_tokens": 0}, "max_tokens"),
        ({"messages": TURNS, "logit_bias": {"x": 1}}, "logit_bias"),
        ({"messages": TURNS, "tools": [{"type": "function"}]}, "tools"),
        ({"messages": TURNS, "seed": 2**63}, "seed"),
        ({"messages": TURNS, "logit_bias": {str(n): 1 for n in range(301)}}, "logit_bias"),
        ({"messages": TURNS, "stop": ["x"] * 17}, "stop"),
        ({"messages": TURNS, "response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_bad_requests_name_the_field_in_openais_shape(served: Served, body: dict[str, Any], param: str) -> None:
    with served.local() as client:
        found = client.post(CHAT, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert found.status_code == 400
    error = found.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"].count("\n") == 0
    assert param in error["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messages": TURNS, "logit_bias": {"999999": 1}}, "invalid_value"),
        ({"messages": TURNS, "logit_bias": {"1": 1e9}}, "invalid_value"),
        ({"messages": [{"role": "user", "content": "cough " * 5000}]}, "context_length_exceeded"),
        (
            {"messages": TURNS, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}},
            "invalid_schema",
        ),
        (
            {
                "messages": TURNS,
                "response_format": {"type": "json_schema", "json_schema": {"schema": {"description": "x" * 70000}}},
            },
            "invalid_schema",
        ),
    ],
)
def test_what_only_the_engine_can_tell_is_refused_alike(served: Served, body: dict[str, Any], code: str) -> None:
    for stream in (False, True):
        with served.local() as client:
            found = client.post(CHAT, json={**body, "stream": stream})
        assert found.status_code == 400
        assert found.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b" " * (5 * 2**20), "application/json", 413),
    ],
)
def test_bodies_that_are_none(served: Served, content: bytes, kind: str, status: int) -> None:
    with served.local() as client:
        found = client.post(CHAT, content=content, headers={"Content-Type": kind})
    assert found.status_code == status
    assert set(found.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_without_a_length_is_not_read(served: Served) -> None:
    with served.local() as client:
        found = client.post(CHAT, content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert found.status_code == 411


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_pages_of_other_machines_are_turned_away(served: Served, headers: dict[str, str], status: int) -> None:
    found = httpx.get(f"{served.url}/v1/models", headers=headers)
    assert found.status_code == status
    assert "access-control-allow-origin" not in found.headers


@pytest.mark.parametrize(
    ("host", "name", "address", "known"),
    [
        ("0.0.0.0", "evil.example", "192.168.1.5", False),
        ("0.0.0.0", "192.168.1.5", "192.168.1.5", True),
        ("0.0.0.0", "192.168.1.6", "192.168.1.5", False),
        ("0.0.0.0", "0.0.0.0", "192.168.1.5", False),
        ("0.0.0.0", "", "192.168.1.5", False),
        ("0.0.0.0", "localhost", "127.0.0.1", True),
        ("0.0.0.0", socket.gethostname().lower(), "192.168.1.5", True),
        ("::", "fd00::5", "fd00:0::5", True),
        ("::", "fe80::1%25eth0", "fe80::1%eth0", True),
        ("::", "evil.example", "fd00::5", False),
        ("ward.lan", "ward.lan", "192.168.1.5", True),
        ("ward.lan", "192.168.1.5", "192.168.1.5", True),
        ("ward.lan", "evil.example", "192.168.1.5", False),
    ],
)
def test_a_server_on_every_address_knows_its_own_names_only(host: str, name: str, address: str, known: bool) -> None:
    assert DoorRules(KEY, names_of(host)).knows(name, address) == known


def test_the_key_lets_no_page_of_another_machine_in(everywhere: Served) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    url = everywhere.url.replace("0.0.0.0", "127.0.0.1")
    others = [{"Host": "evil.example"}, {"Origin": "http://evil.example"}]
    assert [httpx.get(f"{url}/v1/models", headers={**key, **each}).status_code for each in others] == [400, 403]
    assert httpx.get(f"{url}/v1/models", headers=key).status_code == 200


@pytest.mark.parametrize("path", ["/detokenize", "/v1/completions", CHAT])
def test_a_body_of_nothing_but_faults_does_not_stop_the_server(served: Served, path: str) -> None:
    faults = [None] * 150_000
    body = {"tokens": faults, "prompt": faults, "messages": faults}
    with served.local() as client:
        started = time.monotonic()
        assert client.post(path, json=body).status_code == 400
    assert time.monotonic() - started < 5


def test_fields_that_are_null_are_left_out(served: Served) -> None:
    names = ("temperature", "n", "top_p", "stream", "logprobs", "stop", "seed", "max_tokens", "presence_penalty")
    with served.local() as client:
        found = client.post(CHAT, json={"messages": TURNS, "max_completion_tokens": 2, **dict.fromkeys(names)})
        assert found.status_code == 200
        cold = [client.post(CHAT, json={"messages": TURNS, "max_tokens": 6, "temperature": t}) for t in (0, 1e-40)]
    assert cold[0].json()["choices"] == cold[1].json()["choices"]


def test_without_the_key_only_health_and_readiness_are_told(guarded: Served) -> None:
    paths = ("/v1/models", "/metrics", "/tokenizer_info", "/openapi.json", "/nothing")
    assert {httpx.get(f"{guarded.url}{path}").status_code for path in paths} == {401}
    assert {httpx.get(f"{guarded.url}{path}").status_code for path in ("/health", "/ready")} == {200}
    for value in (f"Bearer {KEY}x", f"Basic {KEY}", "Bearer", "Bearer \xfc"):
        headers = {b"Authorization": value.encode("latin-1")}
        assert httpx.get(f"{guarded.url}/v1/models", headers=headers).status_code == 401


def test_nothing_is_fetched_from_elsewhere(served: Served) -> None:
    with served.local() as client:
        assert client.get("/docs").status_code == 404
        assert client.get("/openapi.json").status_code == 200


def running(served: Served) -> float:
    with served.local() as client:
        lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("bedside_running ")))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_gives_its_place_back(served: Served, stream: bool) -> None:
    body = json.dumps({"messages": TURNS, "max_tokens": 1800, "stream": stream, "logit_bias": {"2": -100}}).encode()
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(served.socket))
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    deadline = time.monotonic() + 10
    while not running(served):
        assert time.monotonic() < deadline
    client.close()
    left = time.monotonic()
    while running(served):
        assert time.monotonic() < left + 5


def test_no_text_reaches_the_metrics(served: Served) -> None:
    with served.local() as client:
        client.post(CHAT, json={"messages": [{"role": "user", "content": "Zebulon Quagmire"}], "max_tokens": 3})
        found = client.get("/metrics").text
    assert "Zebulon" not in found
    assert "bedside_time_to_first_token_seconds_count" in found

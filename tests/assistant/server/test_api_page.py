"""Every example of the API's page, held against the server: what it shows is there, under that name and of that type."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.assistant.server.conftest import Served

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set"),
]
PAGE = Path(os.environ.get("BEDSIDE_DATA", "")).parent / "api.md"
CHAT = "/v1/chat/completions"
EMERGENCY = "A man of 60 has crushing chest pain and sweats. How is a heart attack treated?"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def examples(page: str) -> list[Any]:
    """The blocks of JSON in their order: a request, the first chunk, the checks of a sentence."""
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    return [json.loads(block if block.startswith("{") else f"{{{block}}}") for block in blocks]


@pytest.fixture(scope="module")
def chunks(served: Served, examples: list[Any]) -> list[Any]:
    """The page's own request with a question of ours and the ids that the server gave, streamed."""
    first = {"messages": [{"role": "user", "content": EMERGENCY}], "bedside": {"knowledge": "on"}}
    with served.local() as client:
        ids = [source["id"] for source in client.post(CHAT, json=first).json()["bedside"]["sources"]]
        request = json.loads(json.dumps(examples[0]))
        request["messages"][0]["content"] = EMERGENCY
        request["messages"][0]["bedside"]["passages"] = ids[:1]
        options = {"model": "reference", "stream": True, "stream_options": {"include_usage": True}}
        lines = client.post(CHAT, json={**request, **options}).text.split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def lacking(example: Any, found: Any, where: str = "") -> list[str]:
    """Where `found` has not what the example shows. One entry of a list stands for all; a null for any type."""
    if isinstance(example, dict):
        if not isinstance(found, dict):
            return [f"{where} is no object"]
        missing = [f"{where}.{name} is missing" for name in example if name not in found]
        inner = (lacking(each, found[name], f"{where}.{name}") for name, each in example.items() if name in found)
        return missing + [problem for problems in inner for problem in problems]
    if isinstance(example, list):
        if not isinstance(found, list) or not found:
            return [f"{where} is no list, or empty"]
        return [problem for each in found for problem in lacking(example[0], each, f"{where}[]")]
    if example is None or found is None or type(example) is type(found):
        return []
    return [f"{where} is {found!r}, not like {example!r}"]


def test_the_first_chunk_is_as_shown(examples: list[Any], chunks: list[Any]) -> None:
    assert chunks[0]["choices"][0] == {**examples[1]["choices"][0], "logprobs": None}
    assert lacking(examples[1], chunks[0]) == []


def test_checks_come_as_shown_in_an_empty_delta(examples: list[Any], chunks: list[Any]) -> None:
    checks = [chunk for chunk in chunks if "checks" in chunk.get("bedside", {})]
    assert checks
    for chunk in checks:
        assert chunk["choices"][0]["delta"] == {}
        for check in chunk["bedside"]["checks"]:
            assert list(check) == list(examples[2]["bedside"]["checks"][0])


def test_words_are_those_of_the_page(page: str, chunks: list[Any]) -> None:
    def allowed(name: str) -> set[str]:
        found = re.search(rf"`{name}`: `([a-z_ |]+)`", page)
        assert found is not None
        return set(found[1].split(" | "))

    evidence = {chunk["bedside"]["evidence"] for chunk in chunks if "evidence" in chunk.get("bedside", {})}
    assert evidence <= allowed("evidence")
    checks = [check for chunk in chunks for check in chunk.get("bedside", {}).get("checks", [])]
    assert {check["status"] for check in checks} <= allowed("status")
    assert {check["by"] for check in checks} <= allowed("by")
    assert {reason for check in checks for reason in check["reasons"]} <= allowed("reasons")


def test_the_end_carries_evidence_and_the_usage(chunks: list[Any]) -> None:
    finish, used = chunks[-2], chunks[-1]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert finish["bedside"]["evidence"] in ("sufficient", "insufficient")
    assert used["choices"] == []
    names = {"joules", "watts", "tokens_per_joule"}
    assert names <= set(used["usage"]["bedside"])


def test_choices_with_knowledge_are_one(served: Served) -> None:
    with served.local() as client:
        found = client.post(
            CHAT, json={"messages": [{"role": "user", "content": "x"}], "n": 2, "bedside": {"knowledge": "on"}}
        )
    assert found.status_code == 400

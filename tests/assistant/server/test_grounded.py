"""Answers from the library over the API, as api.md has them."""

import hashlib
import json
from importlib import metadata
from typing import Any

import pytest

from assistant.knowledge.library import starter_documents
from assistant.knowledge.volume import Volume
from assistant.safety.rules import rule_book
from models.builtin import reference_gguf
from models.grounding import NO_ANSWER
from tests.assistant.server.conftest import Served

CHAT = "/v1/chat/completions"
QUESTION = "How is croup treated?"
ON = {"knowledge": "on"}


def ask(served: Served, *messages: dict[str, Any], **more: Any) -> Any:
    with served.local() as client:
        found = client.post(CHAT, json={"messages": messages, "bedside": ON, **more})
    assert found.status_code == 200, found.text
    return found.json()


def user(text: str, *passages: str) -> dict[str, Any]:
    return {"role": "user", "content": text, "bedside": {"passages": list(passages)}}


def events(served: Served, **body: Any) -> list[Any]:
    with served.local() as client:
        lines = client.post(CHAT, json={"stream": True, **body}).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2] if line.startswith("data: ")]


@pytest.fixture(scope="module")
def whole(served: Served) -> Any:
    """The second time, since the first reads the prompt in larger pieces, which llama.cpp rounds otherwise."""
    ask(served, user(QUESTION))
    return ask(served, user(QUESTION))


def test_sources_evidence_and_checks_come_with_the_answer(whole: Any) -> None:
    extras, text = whole["bedside"], whole["choices"][0]["message"]["content"]
    assert extras["red_flags"] == {"screened": True, "reason": None, "rules": rule_book().version, "findings": []}
    assert [source["n"] for source in extras["sources"]] == list(range(1, len(extras["sources"]) + 1))
    assert extras["sources"][0]["title"].startswith("Croup")
    assert extras["evidence"] in ("sufficient", "insufficient")
    assert extras["notice"] == "reference model: not for clinical use"
    assert extras["versions"] == {
        "bedside": metadata.version("bedside"),
        "model_sha256": hashlib.sha256(reference_gguf().read_bytes()).hexdigest(),
        "libraries": {"starter": Volume.of_documents("starter", starter_documents()).version},
        "left_out": {},
    }
    assert text == text.strip()
    for check in extras["checks"]:
        assert list(check) == ["start", "end", "cites", "by", "status", "reasons"]
        assert text[check["start"] : check["end"]].strip()


def test_a_stream_tells_the_same_in_its_order(served: Served) -> None:
    for _ in range(3):
        whole, chunks = ask(served, user(QUESTION)), events(served, messages=[user(QUESTION)], bedside=ON)
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        if text == whole["choices"][0]["message"]["content"]:
            break  # else threads or steps may have changed in between, and with them the rounding of a close choice
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[0]["bedside"]["sources"] == whole["bedside"]["sources"]
    assert chunks[0]["bedside"]["evidence"] == "sufficient"
    assert text == whole["choices"][0]["message"]["content"]
    checks = [check for chunk in chunks for check in chunk.get("bedside", {}).get("checks", [])]
    assert checks == whole["bedside"]["checks"]
    assert chunks[-1]["bedside"] == {"evidence": whole["bedside"]["evidence"]}
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]


def test_checks_follow_their_sentence(served: Served) -> None:
    shown = 0
    for chunk in events(served, messages=[user(QUESTION)], bedside=ON):
        shown += len(chunk["choices"][0]["delta"].get("content", ""))
        for check in chunk.get("bedside", {}).get("checks", []):
            assert check["end"] <= shown


def test_outside_the_library_the_host_answers(served: Served) -> None:
    found = ask(served, user("What is the capital of France?"))
    assert found["choices"][0]["message"]["content"] == NO_ANSWER
    assert (found["bedside"]["evidence"], found["bedside"]["sources"]) == ("out_of_scope", [])
    assert found["usage"]["total_tokens"] == 0
    chunks = events(served, messages=[user("What is the capital of France?")], bedside=ON)
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", NO_ANSWER, None]
    assert chunks[-1]["bedside"] == {"evidence": "out_of_scope"}


def test_replayed_passages_do_not_move_and_are_not_read_again(served: Served, whole: Any) -> None:
    ids = [source["id"] for source in whole["bedside"]["sources"]]
    answer = whole["choices"][0]["message"]["content"]
    before = whole["usage"]["prompt_tokens"]
    again = ask(
        served, user(QUESTION, *ids), {"role": "assistant", "content": answer}, user("And how is asthma treated?")
    )
    sources = again["bedside"]["sources"]
    assert [source["id"] for source in sources[: len(ids)]] == ids
    assert {source["title"] for source in sources[len(ids) :]} >= {"Asthma in adults and adolescents"} or len(
        sources
    ) > len(ids)
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= before - 8


def test_a_question_is_read_with_the_one_before(served: Served) -> None:
    said = {"role": "assistant", "content": "Dexamethasone."}
    found = ask(served, user(QUESTION), said, user("And when is it dangerous?"), max_tokens=2)
    assert {source["title"] for source in found["bedside"]["sources"]} == {"Croup"}


def test_a_note_stands_behind_the_passages(served: Served) -> None:
    found = ask(served, user("Patient note:\n3-year-old, stridor at rest."), user(QUESTION), max_tokens=2)
    assert found["bedside"]["sources"][0]["title"].startswith("Croup")


def test_without_knowledge_nothing_is_cited(served: Served) -> None:
    found = ask(served, user(QUESTION), bedside={"knowledge": "off"}, max_tokens=4)
    assert found["bedside"]["evidence"] == "off"
    assert found["bedside"]["versions"]["libraries"] == {}
    assert found["bedside"]["sources"] == []
    assert "checks" not in found["bedside"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"bedside": {"knowledge": ["nothing"]}}, 404, "library_not_found"),
        ({"bedside": {"knowledge": []}}, 400, "invalid_value"),
        ({"bedside": {"knowledge": "starter"}}, 400, "invalid_value"),
        ({"bedside": {"knowlege": "on"}}, 400, "invalid_value"),
        ({"bedside": ON, "n": 2}, 400, "invalid_value"),
        ({"bedside": ON, "response_format": {"type": "json_object"}}, 400, "invalid_value"),
        ({"bedside": ON, "messages": [user(QUESTION, "starter/none#1@0")]}, 400, "unknown_passage"),
        ({"bedside": ON, "messages": [user(QUESTION), {"role": "assistant", "content": "x"}]}, 400, "invalid_value"),
    ],
)
def test_what_cannot_be_grounded_is_refused(served: Served, body: dict[str, Any], status: int, code: str) -> None:
    with served.local() as client:
        found = client.post(CHAT, json={"messages": [user(QUESTION)], **body})
    assert (found.status_code, found.json()["error"]["code"]) == (status, code)


def test_passages_can_be_searched_alone(served: Served) -> None:
    with served.local() as client:
        found = client.post("/v1/knowledge/search", json={"query": QUESTION, "k": 2}).json()
    assert found["query"] == QUESTION
    assert [result["n"] for result in found["results"]] == [1, 2]
    assert {"id", "title", "section", "date", "licence", "text", "score"} <= set(found["results"][0])


def test_what_is_wrong_with_our_fields_is_told_in_words_of_the_api(served: Served) -> None:
    def told(**ours: Any) -> str:
        with served.local() as client:
            found = client.post(CHAT, json={"messages": [user(QUESTION)], "bedside": ours})
        return str(found.json()["error"]["message"])

    wanted = 'bedside.knowledge: give "on", "off" or a list of library ids, such as ["starter"]'
    assert told(knowledge="starter") == wanted
    assert told(knowledge=7) == wanted
    assert told(knowledge=["none"]) == "no library named 'none' (available: starter); name one of these, or on or off"
    assert told(knowlege="on").startswith("bedside.knowlege: ")


def test_an_answers_fields_may_come_back_with_it(served: Served) -> None:
    first = ask(served, user(QUESTION), max_tokens=4)
    said = {**first["choices"][0]["message"], "bedside": first["bedside"]}
    assert ask(served, user(QUESTION), said, user("And in adults?"), max_tokens=2)["bedside"]["sources"]


def test_a_passage_that_is_named_twice_is_one(served: Served) -> None:
    name = ask(served, user(QUESTION), max_tokens=1)["bedside"]["sources"][0]["id"]
    found = ask(served, user(QUESTION, *[name] * 50), max_tokens=1)
    assert [(source["n"], source["id"]) for source in found["bedside"]["sources"]] == [(1, name)]


def test_what_an_earlier_turn_was_given_is_not_given_again(served: Served) -> None:
    first = ask(served, user(QUESTION), max_tokens=4)
    names = [source["id"] for source in first["bedside"]["sources"]]
    said = {"role": "assistant", "content": "See above."}
    again = ask(served, user(QUESTION, *names), said, user(QUESTION), max_tokens=2)
    assert [source["id"] for source in again["bedside"]["sources"]] == names

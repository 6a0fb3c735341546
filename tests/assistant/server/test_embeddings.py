"""`/v1/embeddings` of an embedding model: OpenAI's client, every form of input, refusals, a client that leaves."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis

from assistant.server.shapes import Embeddings, Listed, ModelEntry, TokenizerInfo
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.assistant.conftest import Bedside
from tests.assistant.server.conftest import Served, start, stop
from tests.assistant.server.test_openapi import ENDLESS, check
from tests.models.llama_in_numpy import llama_hidden, weights_of

SHAPE = Shape(context=256)
SLOW = Shape(hidden_size=512, layers=6, ffn_size=2048, heads=8, kv_heads=4, head_dim=64, context=2048)
TEXTS = ["Croup makes a child cough like a seal.", "Give dexamethasone once.", "0.6 mg/kg"]
PATH = "/v1/embeddings"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("files") / "vectors.gguf", SHAPE, seed=5, pooling="mean")


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], file: Path) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("embedding"), environment, "--model", str(file))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def model(file: Path) -> Iterator[Model]:
    with Model.load(file) as opened:
        yield opened


def ask(served: Served, **body: Any) -> Any:
    with served.local() as client:
        found = client.post(PATH, json=body)
    assert found.status_code == 200, found.text
    return found.json()


def vectors_of(found: Any) -> Any:
    return np.array([each["embedding"] for each in found["data"]], np.float32)


def refused(served: Served, path: str, body: dict[str, Any]) -> Any:
    with served.local() as client:
        found = client.post(path, json=body)
    assert found.status_code == 400, found.text
    return found.json()["error"]


def test_openai_s_client_gets_the_directions_of_the_means(embedding: Served, model: Model) -> None:
    weights = weights_of(SHAPE, seed=5)
    with embedding.openai() as client:
        found = client.embeddings.create(model="vectors.gguf", input=TEXTS)  # base64, unless it is told otherwise
    assert (found.object, found.model) == ("list", "vectors.gguf")
    assert [(each.index, each.object) for each in found.data] == [(0, "embedding"), (1, "embedding"), (2, "embedding")]
    ids = [model.tokenize(text, add_bos=True, parse_special=False) for text in TEXTS]
    for each, tokens in zip(found.data, ids, strict=True):
        wanted = llama_hidden(SHAPE, weights, tokens).mean(0)
        assert np.linalg.norm(each.embedding) == pytest.approx(1, abs=1e-6)
        assert np.dot(each.embedding, wanted / np.linalg.norm(wanted)) > 0.9999
    assert found.usage.prompt_tokens == found.usage.total_tokens == sum(map(len, ids))


def test_answers_have_the_shape_that_is_told(embedding: Served) -> None:
    for encoding in ("float", "base64"):
        Embeddings.model_validate(ask(embedding, input=TEXTS, encoding_format=encoding))
    with embedding.local() as client:
        (entry,) = Listed[ModelEntry].model_validate(client.get("/v1/models").json()).data
        TokenizerInfo.model_validate(client.get("/tokenizer_info").json())
    assert entry.meta is not None
    assert entry.meta.dimensions == SHAPE.hidden_size


def test_base64_holds_the_same_floats(embedding: Served) -> None:
    plain = ask(embedding, input=TEXTS, encoding_format="float")
    coded = ask(embedding, input=TEXTS, encoding_format="base64")
    for number, text in zip(plain["data"], coded["data"], strict=True):
        assert np.frombuffer(base64.b64decode(text["embedding"]), "<f4").tolist() == number["embedding"]
    assert ask(embedding, input=TEXTS, user="x")["data"] == plain["data"]


def test_inputs_in_every_form_are_the_same(embedding: Served, model: Model) -> None:
    ids = model.tokenize(TEXTS[0], add_bos=True, parse_special=False)
    forms: list[Any] = [TEXTS[0], [TEXTS[0], TEXTS[1]], ids, [ids, ids], [TEXTS[0]] * 150]
    first = vectors_of(ask(embedding, input=TEXTS[0]))[0]
    for form, count in zip(forms, (1, 2, 1, 2, 150), strict=True):
        found = vectors_of(ask(embedding, input=form))
        assert len(found) == count
        assert found[0] @ first > 0.9999
        assert found[-1] @ first > 0.9999 or form == forms[1]


def test_fewer_dimensions_are_the_first_ones_at_length_1(embedding: Served) -> None:
    whole = vectors_of(ask(embedding, input=TEXTS))
    for dimensions in (1, 7, 64):
        found = vectors_of(ask(embedding, input=TEXTS, dimensions=dimensions))
        wanted = whole[:, :dimensions] / np.linalg.norm(whole[:, :dimensions], axis=1, keepdims=True)
        assert found.shape == (3, dimensions)
        assert np.abs(found - wanted).max() < 1e-6


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"input": ""}, "input", "at least 1 character"),
        ({"input": ["x", ""]}, "input", "input.1: String should have at least 1 character"),
        ({"input": []}, "input", "at least 1 item"),
        ({"input": [[5], []]}, "input", "at least 1 item"),
        ({"input": ["x"] * 2049}, "input", "at most 2048 items"),
        ({"input": None}, "input", "input: Input should be a valid string"),
        ({}, "input", "Field required"),
        ({"input": {"text": "x"}}, "input", "input: Input should be a valid string"),
        ({"input": [5, "x"]}, "input", "input.1: Input should be a valid integer"),
        ({"input": "\ud800"}, "input", "unicode"),
        ({"input": [-1]}, "input", "greater than or equal to 0"),
        ({"input": [512]}, "input", "token id 512 is outside the vocabulary of 512"),
        ({"input": [[6], [6] * 257]}, "input", "input 1 has 257 tokens and the model reads 256 at once; shorten it"),
        ({"input": "x", "dimensions": 0}, "dimensions", "greater than or equal to 1"),
        ({"input": "x", "dimensions": 65}, "dimensions", "65 are more than the model's 64"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    embedding: Served, body: dict[str, Any], param: str | None, message: str
) -> None:
    with embedding.local() as client:
        found = client.post(PATH, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert found.status_code == 400, found.text
    error = found.json()["error"]
    assert error["param"] == param
    assert message in error["message"]


def test_another_model_s_name_is_not_found(embedding: Served) -> None:
    with embedding.local() as client:
        assert client.post(PATH, json={"model": "other", "input": "x"}).status_code == 404


def test_each_kind_of_model_names_what_the_other_is_for(served: Served, embedding: Served) -> None:
    turns = [{"role": "user", "content": "x"}]
    for path, body in (
        ("/v1/chat/completions", {"messages": turns}),
        ("/v1/chat/completions", {"messages": turns, "stream": True, "bedside": {"knowledge": "on"}}),
        ("/v1/completions", {"prompt": "x"}),
        ("/tokenize", {"messages": turns}),
    ):
        error = refused(embedding, path, body)
        assert error["message"] == "vectors.gguf is an embedding model; serve a text model for answers"
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_kind")
    error = refused(served, PATH, {"input": "x"})
    assert error["message"] == "reference is a text model; serve an embedding model for embeddings"
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_kind")


def test_the_tokenizer_and_the_model_are_described(embedding: Served, model: Model) -> None:
    with embedding.local() as client:
        found = client.post("/tokenize", json={"prompt": TEXTS[0]}).json()
        bare = client.post("/tokenize", json={"prompt": "<|end|>", "add_special_tokens": False}).json()
        info = client.get("/tokenizer_info").json()
        listed = client.get("/v1/models").json()["data"][0]
        back = client.post("/detokenize", json={"tokens": found["tokens"][1:]}).json()
    assert found["tokens"] == model.tokenize(TEXTS[0], add_bos=True, parse_special=False)
    assert model.eos not in bare["tokens"]
    assert back["prompt"] == TEXTS[0]
    assert (info["chat_template"], info["model_max_length"]) == (None, 256)
    assert (listed["id"], listed["max_model_len"], listed["meta"]["dimensions"]) == ("vectors.gguf", 256, 64)


def test_tokens_are_counted(embedding: Served) -> None:
    with embedding.local() as client:
        before = counted(client.get("/metrics").text, "bedside_prompt_tokens_total")
        ask(embedding, input=[[7] * 100, [8] * 20])
        assert counted(client.get("/metrics").text, "bedside_prompt_tokens_total") - before == 120


def counted(metrics: str, name: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(f"{name} "))


def test_the_document_holds_for_an_embedding_model_too(embedding: Served) -> None:
    for found in schemathesis.openapi.from_url(f"{embedding.url}/openapi.json").get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # an invalid document would fail here
        if operation.path != ENDLESS:
            check(operation)


def test_a_client_that_leaves_ends_the_decode_of_its_texts(tmp_path: Path, environment: dict[str, str]) -> None:
    path = write_gguf(tmp_path / "slow.gguf", SLOW, pooling="last")
    running = start(tmp_path, environment, "--model", str(path))
    body = json.dumps({"input": [[7] * 2000] * 50}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with running.local() as client:
        with socket.socket(socket.AF_UNIX) as leaving:
            leaving.connect(str(running.socket))
            leaving.sendall(head.encode() + body)
            until(lambda: "bedside_running 1.0" in client.get("/metrics").text)
        left = time.monotonic()
        until(lambda: "bedside_running 0.0" in client.get("/metrics").text)
        assert time.monotonic() - left < 0.5
        found = client.get("/metrics").text
        assert client.post(PATH, json={"input": "x"}).status_code == 200
    assert 'bedside_requests_total{reason="cancelled"} 1.0' in found
    assert counted(found, "bedside_aborted_steps_total") == 1
    stop(running)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reranker_ends_the_server_with_one_line(tmp_path: Path, bedside: Bedside) -> None:
    path = write_gguf(tmp_path / "rank.gguf", SHAPE, pooling="rank")
    done = bedside("serve", "--model", str(path), "--socket", str(tmp_path / "b.sock"))
    assert done.returncode == 1
    assert f"error: {path} is a reranker, which is not served; use a text model or an embedding model" in done.stderr
    assert "Traceback" not in done.stderr

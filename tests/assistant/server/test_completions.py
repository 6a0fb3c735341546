"""`/v1/completions` as evaluation harnesses use it: exact tokens, exact probabilities, prompts in every form."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.resolve import resolve_gguf
from models.runtime.model import Model
from tests.assistant.engine.conftest import all_logits
from tests.assistant.server.conftest import Served, start, stop

ROUNDING = 0.2
EXACT = 1e-4
TEXT = "Croup is an infection of the upper airway."


@pytest.fixture(scope="module")
def model() -> Any:
    with Model.load(resolve_gguf("reference")) as opened:
        yield opened


def ask(served: Served, **body: Any) -> Any:
    with served.local() as client:
        found = client.post("/v1/completions", json=body)
    assert found.status_code == 200, found.text
    return found.json()


def test_echo_gives_each_prompt_token_and_what_was_written(served: Served, model: Model) -> None:
    found = ask(served, prompt=TEXT, max_tokens=1, echo=True, logprobs=2)
    (choice,) = found["choices"]
    ids = model.tokenize(TEXT, add_bos=True, parse_special=True)
    told = choice["logprobs"]
    assert {len(entries) for entries in told.values()} == {len(ids) + 1}
    assert told["tokens"][0] == "<|begin|>"
    assert told["token_logprobs"][0] is None
    assert "".join(told["tokens"][1:]) == choice["text"]
    assert choice["text"].startswith(TEXT)
    assert found["usage"]["prompt_tokens"] == len(ids)
    logits = all_logits(model, ids)[:-1].astype(np.float64)
    wanted = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    picked = wanted[np.arange(len(ids) - 1), ids[1:]]
    # Kernels round differently by the number of rows, 4-bit weights and a 16-bit cache more than others.
    assert np.abs(np.array(told["token_logprobs"][1:-1]) - picked).max() < ROUNDING
    places = [*told["text_offset"], len(choice["text"])]
    assert [choice["text"][a:b] for a, b in pairwise(places)] == ["", *told["tokens"][1:]]


def test_prompts_in_every_form_are_the_same(served: Served, model: Model) -> None:
    ids = model.tokenize(TEXT, add_bos=True, parse_special=True)
    forms: list[Any] = [TEXT, [TEXT, TEXT], ids, [ids, ids]]
    found = [ask(served, prompt=form, max_tokens=4, echo=True, logprobs=0) for form in forms]
    assert [len(each["choices"]) for each in found] == [1, 2, 1, 2]
    first = found[0]["choices"][0]["logprobs"]
    for each in found:
        for choice in each["choices"]:
            assert choice["logprobs"]["tokens"] == first["tokens"]
            values = np.array(choice["logprobs"]["token_logprobs"][1:])
            assert np.abs(values - np.array(first["token_logprobs"][1:])).max() < ROUNDING
    assert [choice["index"] for choice in found[3]["choices"]] == [0, 1]


def test_ids_are_taken_as_they_are_sent(served: Served, model: Model) -> None:
    ids = model.tokenize(TEXT, add_bos=False, parse_special=True)
    (choice,) = ask(served, prompt=ids, max_tokens=0, echo=True, logprobs=0)["choices"]
    assert len(choice["logprobs"]["tokens"]) == len(ids)
    assert choice["text"] == TEXT


def test_a_begin_token_that_is_spelled_is_not_put_there_twice(served: Served, model: Model) -> None:
    """Harnesses decode their token ids to text and count on finding the same ones."""
    ids = model.tokenize(TEXT, add_bos=True, parse_special=True)
    spelled = "<|begin|>" + TEXT
    for prompt in (spelled, [spelled]):
        (choice,) = ask(served, prompt=prompt, max_tokens=0, echo=True, logprobs=0)["choices"]
        assert choice["text"] == spelled
        told = choice["logprobs"]
        assert "".join(told["tokens"]) == spelled
        assert len(told["token_logprobs"]) == len(ids)
        assert [spelled[place:][:3] for place in told["text_offset"][:2]] == ["<|b", "Cro"]
    with served.local() as client:
        for special in (True, False):
            found = client.post("/tokenize", json={"prompt": spelled, "add_special_tokens": special}).json()
            assert found["tokens"] == ids
    assert ask(served, prompt=[ids[0], *ids], max_tokens=1)["usage"]["prompt_tokens"] == len(ids) + 1


def test_the_token_that_ends_an_answer_is_told_with_its_probability(served: Served, model: Model) -> None:
    """lm-evaluation-harness asks for one token more and drops the last entry: without one it would drop the answer's."""
    body: dict[str, Any] = {"prompt": TEXT, "max_tokens": 1, "logprobs": 1, "logit_bias": {str(model.eos): 100}}
    (choice,) = ask(served, **body, echo=True)["choices"]
    ids = model.tokenize(TEXT, add_bos=True, parse_special=True)
    told = choice["logprobs"]
    assert {len(entries) for entries in told.values()} == {len(ids) + 1}
    assert (choice["text"], choice["finish_reason"], told["tokens"][-1]) == (TEXT, "stop", "<|end|>")
    assert told["text_offset"][-1] == len(TEXT)
    with served.openai() as client:
        chunks = list(client.completions.create(model="reference", stream=True, **body))
        spoken = client.chat.completions.create(
            model="reference",
            messages=[{"role": "user", "content": TEXT}],
            logprobs=True,
            max_tokens=1,
            logit_bias={str(model.eos): 100},
        )
    assert [chunk.choices[0].logprobs.tokens for chunk in chunks if chunk.choices[0].logprobs] == [["<|end|>"]]
    assert (spoken.choices[0].message.content, spoken.choices[0].logprobs.content) == ("", [])


@pytest.fixture(scope="module")
def precise(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], tiny_model: Path
) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("precise"), environment, "--precise", "--model", str(tiny_model))
    yield running
    stop(running)


def test_precise_probabilities_are_those_of_float32_alone_or_beside_others(precise: Served, tiny_model: Path) -> None:
    """By the server as harnesses ask it: prompts of unequal length in one body, four bodies at once."""
    with Model.load(tiny_model) as tiny:
        ids = tiny.tokenize(TEXT * 8, add_bos=False, parse_special=False)
        prompts = [ids[start : start + 30 + 25 * start] for start in range(6)]
        wanted = []
        for prompt in prompts:
            logits = all_logits(tiny, prompt)[:-1].astype(np.float64)
            nats = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            wanted.append(nats[np.arange(len(prompt) - 1), prompt[1:]])
    body: dict[str, Any] = {"prompt": prompts, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(precise, **body), range(4)))
    for each in found:
        for choice, nats in zip(each["choices"], wanted, strict=True):
            told = choice["logprobs"]["token_logprobs"]
            assert told[0] is None
            assert np.abs(np.array(told[1:-1]) - nats).max() < EXACT


def test_a_prompt_can_be_scored_without_writing(served: Served) -> None:
    (choice,) = ask(served, prompt=TEXT, max_tokens=0, echo=True, logprobs=1)["choices"]
    assert choice["text"] == TEXT
    assert all(value <= 0 for value in choice["logprobs"]["token_logprobs"][1:])


def test_a_stream_joins_to_the_whole(served: Served) -> None:
    whole = ask(served, prompt=TEXT, max_tokens=12, echo=True, logprobs=1)["choices"][0]
    with served.openai() as client:
        chunks = list(
            client.completions.create(model="reference", prompt=TEXT, max_tokens=12, echo=True, logprobs=1, stream=True)
        )
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole["text"]
    told = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs is not None]
    assert [token for each in told for token in each.tokens] == whole["logprobs"]["tokens"]
    assert [offset for each in told for offset in each.text_offset] == whole["logprobs"]["text_offset"]


def test_more_choices_than_the_queue_holds_are_answered(served: Served) -> None:
    found = ask(served, prompt=[f"Case {number}" for number in range(40)], max_tokens=2)
    assert [choice["index"] for choice in found["choices"]] == list(range(40))
    found = ask(served, prompt=["a b c d", "x"], max_tokens=1, n=8, temperature=1.0)
    assert found["usage"]["completion_tokens"] <= 16
    assert len(found["choices"]) == 16


def test_usage_of_a_stream_counts_each_prompt_once(served: Served, model: Model) -> None:
    prompts = [TEXT * 20, "a"]
    wanted = sum(len(model.tokenize(prompt, add_bos=True, parse_special=True)) for prompt in prompts)
    with served.openai() as client:
        chunks = list(
            client.completions.create(
                model="reference", prompt=prompts, max_tokens=2, stream=True, stream_options={"include_usage": True}
            )
        )
    assert chunks[-1].usage.prompt_tokens == wanted


def test_control_tokens_are_read_here_and_not_in_a_conversation(served: Served, model: Model) -> None:
    eos = model.token_bytes(model.eos or 0, special=True).decode()
    with served.local() as client:
        completed = client.post("/tokenize", json={"prompt": eos, "add_special_tokens": False}).json()
        chat = client.post("/tokenize", json={"messages": [{"role": "user", "content": eos}]}).json()
        plain = client.post("/tokenize", json={"messages": [{"role": "user", "content": "x"}]}).json()
    assert completed["tokens"] == [model.eos]
    assert chat["tokens"].count(model.eos) == plain["tokens"].count(model.eos)


def test_tokens_go_there_and_back(served: Served, model: Model) -> None:
    with served.local() as client:
        found = client.post("/tokenize", json={"prompt": "é ß 5µg"}).json()
        assert found["tokens"] == model.tokenize("é ß 5µg", add_bos=True, parse_special=True)
        assert found["count"] == len(found["tokens"])
        back = client.post("/detokenize", json={"tokens": found["tokens"][1:]}).json()
        assert back["prompt"] == "é ß 5µg"
        info = client.get("/tokenizer_info").json()
    assert (info["vocab_size"], info["bos_token"]) == (model.n_vocab, "<|begin|>")


def test_tokens_of_another_model_are_refused(served: Served) -> None:
    with served.local() as client:
        for path, body in (("/detokenize", {"tokens": [2**30]}), ("/v1/completions", {"prompt": [2**30]})):
            found = client.post(path, json=body)
            assert (found.status_code, found.json()["error"]["code"]) == (400, "invalid_value")


def test_stops_biases_and_penalties_reach_the_sampler(served: Served, model: Model) -> None:
    plain = ask(served, prompt=TEXT, max_tokens=20)["choices"][0]
    stop = plain["text"][5:9]
    stopped = ask(served, prompt=TEXT, max_tokens=20, stop=stop)["choices"][0]
    assert (stopped["text"], stopped["finish_reason"]) == (plain["text"][: plain["text"].index(stop)], "stop")
    (token,) = model.tokenize(" cough", add_bos=False, parse_special=False)[:1]
    biased = ask(served, prompt=TEXT, max_tokens=3, logit_bias={str(token): 100})["choices"][0]
    assert biased["text"] == model.detokenize([token] * 3)
    seeded = [
        ask(served, prompt=TEXT, max_tokens=20, temperature=1.5, seed=seed)["choices"][0]["text"] for seed in (1, 2)
    ]
    assert len(set(seeded)) == 2

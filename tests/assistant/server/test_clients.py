"""OpenAI's own client, sync and async, streaming and not, unchanged but for its address."""

import asyncio
import json
from typing import Annotated, Any

import httpx2 as httpx
import openai
import pytest
from pydantic import BaseModel, Field

from assistant.engine.request import Request
from models.resolve import resolve_gguf
from models.runtime.chat import ChatTemplate
from models.runtime.model import Model
from tests.assistant.engine.conftest import alone, same_up_to_rounding
from tests.assistant.server.conftest import KEY, Served

TURNS: Any = [{"role": "user", "content": "What is croup, and how is it treated?"}]


def test_a_conversation_is_answered_as_by_the_runtime(served: Served) -> None:
    with served.openai() as client:
        found = client.chat.completions.create(model="reference", messages=TURNS, max_tokens=24)
    with Model.load(resolve_gguf("reference")) as model:
        prompt = tuple(ChatTemplate.from_model(model).prompt_ids(model, TURNS))
        wanted = alone(model, Request(prompt, 24))
        written = model.tokenize(found.choices[0].message.content, add_bos=False, parse_special=False)
        assert found.usage.prompt_tokens == len(prompt)
        assert found.choices[0].message.content == model.detokenize(wanted).lstrip() or same_up_to_rounding(
            model, prompt, written, wanted
        )
    assert found.choices[0].message.role == "assistant"
    assert found.choices[0].finish_reason in ("stop", "length")
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_stream_joins_to_the_whole_answer_and_ends_with_usage(served: Served) -> None:
    with served.openai() as client:
        whole = client.chat.completions.create(model="reference", messages=TURNS, max_tokens=24)
        chunks = list(
            client.chat.completions.create(
                model="reference", messages=TURNS, max_tokens=24, stream=True, stream_options={"include_usage": True}
            )
        )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason
    assert set(reasons[:-1]) == {None}
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def async_openai(served: Served) -> Any:
    """Untyped, as `Served.openai`."""
    local = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(served.socket)), timeout=60)
    return openai.AsyncOpenAI(base_url="http://bedside/v1", api_key="none", http_client=local, max_retries=0)


def test_async_streams_beside_each_other_join_to_the_whole_answer(served: Served) -> None:
    async def read(asked: Any) -> str:
        chunks = await asked
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def ask() -> tuple[str, list[str], str, str]:
        async with async_openai(served) as client:
            body = {"model": "reference", "messages": TURNS, "max_tokens": 24}
            whole = await client.chat.completions.create(**body)
            streams = (client.chat.completions.create(**body, stream=True) for _ in range(4))
            streamed = await asyncio.gather(*map(read, streams))
            text = {"model": "reference", "prompt": "Croup is", "max_tokens": 8}
            written = await client.completions.create(**text)
            chunks = await client.completions.create(**text, stream=True)
            pieces = "".join([chunk.choices[0].text async for chunk in chunks])
            return whole.choices[0].message.content, streamed, written.choices[0].text, pieces

    whole, streamed, written, pieces = asyncio.run(ask())
    assert len(whole) > 20
    # Beside others a row is rounded differently, so that a late word may differ.
    assert [each[:20] for each in streamed] == [whole[:20]] * 4
    assert written == pieces


def test_an_async_stream_that_is_closed_early_leaves_the_client_usable(served: Served) -> None:
    async def ask() -> str:
        async with async_openai(served) as client:
            for _ in range(6):  # more than are worked on at once
                asked = await client.chat.completions.create(
                    model="reference", messages=TURNS, max_tokens=1500, stream=True, logit_bias={"1": -100}
                )
                async with asked:
                    async for chunk in asked:
                        if chunk.choices[0].delta.content:
                            break
            found = await client.chat.completions.create(model="reference", messages=TURNS, max_tokens=4)
            return str(found.choices[0].message.content)

    assert asyncio.run(ask())


def test_many_async_clients_at_once(served: Served) -> None:
    async def ask_all() -> list[Any]:
        async with async_openai(served) as client:
            asked = (
                client.chat.completions.create(
                    model="reference", messages=TURNS, max_tokens=12, seed=seed, temperature=0.9
                )
                for seed in range(12)
            )
            return [found.choices[0].message.content for found in await asyncio.gather(*asked)]

    answers = asyncio.run(ask_all())
    assert len(answers) == 12
    assert len(set(answers)) > 1


class Dose(BaseModel):
    drug: Annotated[str, Field(max_length=20)]
    route: str


def test_structured_output_is_parsed_by_the_client(served: Served) -> None:
    schema = {
        "type": "object",
        "properties": {"drug": {"type": "string", "maxLength": 20}, "route": {"enum": ["oral", "iv"]}},
        "required": ["drug", "route"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "dose", "schema": schema, "strict": True}}
    with served.openai() as client:
        found = client.chat.completions.create(model="reference", messages=TURNS, response_format=wanted, max_tokens=80)
        parsed = client.chat.completions.parse(
            model="reference",
            messages=TURNS,
            response_format=Dose,
            max_tokens=200,
            logit_bias={},
            temperature=1.2,
            seed=4,
        )
    assert set(json.loads(found.choices[0].message.content)) == {"drug", "route"}
    assert isinstance(parsed.choices[0].message.parsed, Dose)


def test_structured_output_is_parsed_by_the_async_client_whole_and_as_it_streams(served: Served) -> None:
    asked: dict[str, Any] = {"model": "reference", "messages": TURNS, "response_format": Dose, "max_tokens": 200}
    asked |= {"temperature": 1.2, "seed": 4}

    async def ask() -> tuple[Any, Any]:
        async with async_openai(served) as client:
            whole = await client.chat.completions.parse(**asked)
            async with client.chat.completions.stream(**asked) as events:
                kinds = {event.type async for event in events}
                assert {"chunk", "content.delta", "content.done"} <= kinds
                streamed = await events.get_final_completion()
            return whole.choices[0].message.parsed, streamed.choices[0].message.parsed

    whole, streamed = asyncio.run(ask())
    assert isinstance(whole, Dose)
    assert whole == streamed
    with served.openai() as client, client.chat.completions.stream(**asked) as events:
        assert events.get_final_completion().choices[0].message.parsed == whole


def test_several_choices_and_probabilities(served: Served) -> None:
    with served.openai() as client:
        found = client.chat.completions.create(
            model="reference", messages=TURNS, n=3, temperature=1.0, seed=1, max_tokens=6, logprobs=True, top_logprobs=2
        )
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    for choice in found.choices:
        assert "".join(each.token for each in choice.logprobs.content) == choice.message.content
        assert all(len(each.top_logprobs) == 2 for each in choice.logprobs.content)


def test_the_models_are_listed(served: Served) -> None:
    with served.openai() as client:
        assert [model.id for model in client.models.list()] == ["reference"]
        assert client.models.retrieve("reference").id == "reference"
        with pytest.raises(openai.NotFoundError, match="no model 'gpt-4' here; this server has 'reference'"):
            client.chat.completions.create(model="gpt-4", messages=TURNS)


def test_a_key_is_asked_for_over_tcp_only(guarded: Served) -> None:
    with guarded.openai() as local:
        assert local.models.list().data
    for key, allowed in (("wrong-key-0123456789", False), (KEY, True)):
        with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key=key, max_retries=0) as client:
            if allowed:
                assert client.models.list().data
            else:
                with pytest.raises(openai.AuthenticationError, match="Bearer KEY"):
                    client.models.list()
    assert httpx.get(f"{guarded.url}/health").status_code == 200

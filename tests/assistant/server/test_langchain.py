"""LangChain's client of OpenAI's API, as applications are built on it: whole, streamed, structured, given up."""

import asyncio
import time
from typing import Annotated, Any, Literal

import httpx2 as httpx
import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from tests.assistant.server.conftest import KEY, Served

QUESTION = "What is croup, and how is it treated?"
STEP_S = 10
ENDLESS: dict[str, Any] = {"logit_bias": {"1": -100}, "temperature": 1}
"""Seconds at least until an answer of 1500 tokens is written."""


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send what is asked to its makers, where the machine's environment says so."""
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.setenv(name, "false")


def over_tcp(served: Served, **options: Any) -> ChatOpenAI:
    given = {"model": "reference", "base_url": f"{served.url}/v1", "api_key": "none", "max_retries": 0}
    return ChatOpenAI(**{**given, "max_tokens": 24, "temperature": 0, **options})


def test_invoke_and_stream_say_the_same(served: Served) -> None:
    model = over_tcp(served, stream_usage=True)
    whole = model.invoke([("system", "Answer briefly."), ("human", QUESTION)])
    chunks = list(model.stream([("system", "Answer briefly."), ("human", QUESTION)]))
    assert whole.text
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 1
    used = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata is not None]
    assert [each["total_tokens"] for each in used] == [whole.usage_metadata["total_tokens"]]
    ends = {chunk.response_metadata["finish_reason"] for chunk in chunks if "finish_reason" in chunk.response_metadata}
    assert ends == {whole.response_metadata["finish_reason"]}


def test_it_works_over_the_unix_socket_too(served: Served) -> None:
    with served.local() as local:
        model = over_tcp(served, base_url="http://bedside/v1", http_client=local)
        assert model.invoke(QUESTION).text == over_tcp(served).invoke(QUESTION).text


def test_a_key_is_sent(guarded: Served) -> None:
    assert over_tcp(guarded, api_key=KEY).invoke(QUESTION).text


class Dose(BaseModel):
    """A dose to give."""

    drug: Annotated[str, Field(max_length=20)]
    route: Literal["oral", "iv"]
    urgent: bool


def test_structured_output_is_an_object_of_the_class(served: Served) -> None:
    model = over_tcp(served, max_tokens=200)
    found = model.with_structured_output(Dose, method="json_schema").invoke(QUESTION)
    assert isinstance(found, Dose)
    schema = Dose.model_json_schema()
    raw = model.with_structured_output(schema, method="json_schema", strict=True, include_raw=True).invoke(QUESTION)
    assert isinstance(raw, dict)
    assert raw["parsing_error"] is None
    assert raw["parsed"] == found.model_dump()


def cancelled(served: Served) -> float:
    """Requests that ended because their client had left."""
    with served.local() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[1]) for line in lines if line.startswith('bedside_requests_total{reason="cancelled"}')
    )


def test_a_stream_that_is_given_up_is_ended(served: Served) -> None:
    async def give_up() -> None:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(served.socket))) as local:
            # Its time limit between chunks is asyncio.wait_for's, which before Python 3.12 may swallow a cancellation.
            options: dict[str, Any] = {"http_async_client": local, "stream_chunk_timeout": None}
            endless = over_tcp(served, base_url="http://bedside/v1", max_tokens=1500, **ENDLESS, **options)

            async def listen() -> None:
                heard = 0
                async for chunk in endless.astream(QUESTION):
                    heard += bool(chunk.text)
                    if heard == 4:
                        begun.set()

            begun = asyncio.Event()
            listening = asyncio.create_task(listen())
            await asyncio.wait_for(begun.wait(), STEP_S)
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening

    before = cancelled(served)
    asyncio.run(give_up())
    until = time.monotonic() + STEP_S
    while cancelled(served) == before and time.monotonic() < until:
        time.sleep(0.05)
    assert cancelled(served) == before + 1
    assert over_tcp(served).invoke(QUESTION).text


def test_several_are_asked_at_once(served: Served) -> None:
    async def ask() -> list[str]:
        found = await over_tcp(served).abatch([QUESTION, "What is asthma?", QUESTION])
        return [each.text for each in found]

    first, other, again = asyncio.run(ask())
    assert first
    assert other
    assert first[:20] == again[:20]

"""A thousand requests from 64 clients that leave, cancel and send nonsense: none lost, none mixed up, memory flat."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from models.resolve import resolve_gguf
from models.runtime.model import Model
from tests.assistant.engine.conftest import prompt_of, same_up_to_rounding
from tests.assistant.server.conftest import Served, start, stop

CLIENTS, REQUESTS, MOST_TOKENS, SUBJECTS = 64, 1000, 24, 200
BEGINNING = "A child with a barking cough and noisy breathing came in at night. " * 6
PATH = "/v1/completions"


class Soak:
    """What the clients saw."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.answers: list[tuple[int, str]] = []
        self.refused = self.left = self.malformed = 0

    async def run(self, seed: int, count: int) -> None:
        rng = random.Random(seed)
        transport = httpx.AsyncHTTPTransport(uds=str(self._served.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=300) as client:
            for _ in range(count):
                subject, kind = rng.randrange(SUBJECTS), rng.random()
                if kind < 0.1:
                    found = await client.post(PATH, content=b"{" * rng.randrange(1, 50), headers=JSON)
                    assert found.status_code == 400
                    self.malformed += 1
                elif kind < 0.3:
                    await self._leave(client, body(subject), rng)
                elif kind < 0.6:
                    await self._read(client, subject, body(subject))
                else:
                    await self._ask(client, subject, body(subject))

    async def _ask(self, client: httpx.AsyncClient, subject: int, body: dict[str, Any]) -> None:
        while (found := await client.post(PATH, json=body)).status_code == 429:
            self.refused += 1
            await asyncio.sleep(0.05)
        assert found.status_code == 200, found.text
        self.answers.append((subject, found.json()["choices"][0]["text"]))

    async def _read(self, client: httpx.AsyncClient, subject: int, body: dict[str, Any]) -> None:
        text = ""
        async with client.stream("POST", PATH, json={**body, "stream": True}) as found:
            if found.status_code == 429:
                self.refused += 1
                await found.aread()
                return
            async for line in found.aiter_lines():
                if line.startswith("data: {"):
                    text += json.loads(line[6:])["choices"][0]["text"]
        assert line in {"", "data: [DONE]"}
        self.answers.append((subject, text))

    async def _leave(self, client: httpx.AsyncClient, body: dict[str, Any], rng: random.Random) -> None:
        """Go away after so many lines, or before any."""
        wanted = rng.randrange(6)
        asking = asyncio.create_task(self._lines(client, {**body, "stream": rng.random() < 0.7}, wanted))
        await asyncio.wait([asking], timeout=rng.random() * 0.3)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        self.left += 1

    async def _lines(self, client: httpx.AsyncClient, body: dict[str, Any], wanted: int) -> None:
        async with client.stream("POST", PATH, json=body) as found:
            async for _ in found.aiter_lines():
                wanted -= 1
                if wanted < 0:
                    return


JSON = {"Content-Type": "application/json"}


def prompt(subject: int) -> str:
    return f"{BEGINNING} Case {subject}: what is done next for patient number {subject * 7}?"


def body(subject: int) -> dict[str, Any]:
    return {"prompt": prompt(subject), "max_tokens": MOST_TOKENS}


@pytest.mark.slow
def test_a_thousand_requests(tmp_path: Path, environment: dict[str, str]) -> None:
    served = start(tmp_path, environment, "--cache-mib", "8")  # full before the counting begins
    process = psutil.Process(served.process.pid)

    async def all_clients(soak: Soak, count: int) -> None:
        await asyncio.gather(*(soak.run(seed, count // CLIENTS + 1) for seed in range(CLIENTS)))

    with served.local() as client:
        alone = [client.post(PATH, json=body(subject)).json()["choices"][0]["text"] for subject in range(SUBJECTS)]
    asyncio.run(all_clients(Soak(served), 256))  # caches fill, threads and arenas come to be
    before = process.memory_info().rss
    soak = Soak(served)
    asyncio.run(all_clients(soak, REQUESTS))
    after = process.memory_info().rss
    with served.local() as client:
        assert "bedside_running 0.0" in client.get("/metrics").text
    stop(served)
    assert len(soak.answers) + soak.left + soak.malformed + soak.refused >= REQUESTS
    assert min(len(soak.answers), soak.left, soak.malformed) > 50
    assert after < before * 1.05
    check(soak.answers, alone)


def check(answers: list[tuple[int, str]], alone: list[str]) -> None:
    """Each as alone; where kernels round differently by the size of a batch, the top two logits lie close together."""
    with Model.load(resolve_gguf("reference")) as model:
        differing = 0
        for subject, text in enumerate(alone):
            ids, wanted = prompt_of(model, prompt(subject)), model.tokenize(text, add_bos=False, parse_special=False)
            for each in {found for place, found in answers if place == subject} - {text}:
                differing += sum(found == each for place, found in answers if place == subject)
                found = model.tokenize(each, add_bos=False, parse_special=False)
                assert same_up_to_rounding(model, ids, found, wanted), (each, text)
        # 1.3 to 1.9% were seen: this model is often undecided.
        assert differing <= 0.03 * len(answers), f"{differing} of {len(answers)}"

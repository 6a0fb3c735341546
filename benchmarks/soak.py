"""Many requests of all kinds to a real server, and whether its memory, descriptors and threads stay flat: `make soak`.

Several clients on the unix socket chat, stream, leave in the middle of streams, search, and send what is refused. What the
server takes is sampled meanwhile; the slope is that of the least squares over the samples after a warm-up.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import psutil

_CHAT, _SEARCH = "/v1/chat/completions", "/v1/knowledge/search"
_SUBJECTS = ("croup", "gout", "asthma", "sepsis", "a sprained ankle", "atrial fibrillation", "anaphylaxis", "migraine")
_WARM_UP = 0.25
"""The share of the samples in which caches fill, and threads and arenas come to be."""
_FLAT_MIB = 16.0
"""So much more in 20,000 requests is called flat: a tenth of what the server takes with the reference model."""
_AS_PLANNED = 20_000
_LEAST = 500


@dataclass(frozen=True)
class Sample:
    """What the server takes, after so many requests."""

    requests: int
    rss_mib: float
    uss_mib: float
    descriptors: int
    threads: int


@dataclass
class Soak:
    """The clients' side: what is left to send, and what came back."""

    socket: Path
    left: int
    until_s: float
    statuses: Counter[str] = field(default_factory=Counter)
    done: int = 0

    async def client(self, seed: int) -> None:
        """One of several, until nothing is left or the time is over."""
        chance = random.Random(seed)
        kinds = (self._chat, self._stream, self._leave, self._search, self._nonsense)
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://bedside", timeout=120) as client:
            while self.left > 0 and time.monotonic() < self.until_s:
                self.left -= 1
                (kind,) = chance.choices(kinds, (25, 25, 20, 20, 10))
                await kind(client, chance)
                self.done += 1

    def _count(self, kind: str, status: int) -> None:
        self.statuses[f"{kind} {status}"] += 1

    async def _chat(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        found = await client.post(_CHAT, json=_question(chance))
        self._count("chat", found.status_code)

    async def _stream(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        async with client.stream("POST", _CHAT, json={**_question(chance), "stream": True}) as found:
            lines = [line async for line in found.aiter_lines() if line]
        is_whole = found.status_code != 200 or lines[-1] == "data: [DONE]"
        self._count("stream" if is_whole else "stream cut off", found.status_code)

    async def _leave(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        wanted = chance.randrange(6)
        async with client.stream("POST", _CHAT, json={**_question(chance), "stream": True}) as found:
            async for _ in found.aiter_lines():
                wanted -= 1
                if wanted < 0:
                    break
        self._count("left", found.status_code)

    async def _search(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        query = f"How is {chance.choice(_SUBJECTS)} treated in case {chance.randrange(10**6)}?"
        found = await client.post(_SEARCH, json={"query": query, "k": chance.randrange(1, 9)})
        self._count("search", found.status_code)

    async def _nonsense(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        bodies = (
            b"{" * chance.randrange(1, 500),
            b"\xff",
            b'{"messages": []}',
            b'{"messages": [{"role": "x"}]}',
            b"NaN",
        )
        found = await client.post(_CHAT, content=chance.choice(bodies), headers={"Content-Type": "application/json"})
        self._count("nonsense", found.status_code)


def _question(chance: random.Random) -> dict[str, Any]:
    subject, number = chance.choice(_SUBJECTS), chance.randrange(10**6)
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"Case {number}: how is {subject} treated?"}],
        "max_tokens": chance.randrange(1, 24),
    }
    if chance.random() < 0.5:
        body["bedside"] = {"knowledge": "on"}
    if chance.random() < 0.3:
        body |= {"temperature": 0.8, "seed": number}
    return body


@contextmanager
def _server(folder: Path) -> Iterator[psutil.Process]:
    """The reference model behind `folder`/b.sock, with a cache that is full before the samples count."""
    path, log = folder / "b.sock", folder / "log"
    command = [sys.executable, "-m", "assistant", "serve", "--socket", str(path), "--cache-mib", "8"]
    environment = {**os.environ, "BEDSIDE_HOME": str(folder / "home"), "BEDSIDE_LIBRARIES": str(folder / "none")}
    with log.open("w") as told, subprocess.Popen(command, stderr=told, env=environment) as process:
        try:
            _wait(path, process)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
    said = log.read_text("utf-8").splitlines()[1:]
    print(f"ended with {process.returncode}" + "".join(f"\n{line}" for line in said))


def _wait(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.1)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://bedside") as client:
        while client.get("/ready").status_code != 200:
            time.sleep(0.1)


async def _run(soak: Soak, process: psutil.Process, clients: int, every_s: float) -> list[Sample]:
    asking = asyncio.gather(*(soak.client(seed) for seed in range(clients)))
    samples = []
    while not asking.done():
        samples.append(_sample(soak.done, process))
        print("{:>8,}  {:8.1f}  {:8.1f}  {:11}  {:7}".format(*vars(samples[-1]).values()), flush=True)
        await asyncio.wait([asking], timeout=every_s)
    await asking
    return samples


def _sample(requests: int, process: psutil.Process) -> Sample:
    memory = process.memory_full_info()
    return Sample(requests, memory.rss / 2**20, memory.uss / 2**20, process.num_fds(), process.num_threads())


def slope(samples: Sequence[Sample], column: str) -> float:
    """Of a column over the samples after the warm-up, for each 20,000 requests; not a number where they are too few."""
    later = samples[int(len(samples) * _WARM_UP) :]
    if len(later) < 3 or later[-1].requests - later[0].requests < _LEAST:
        return float("nan")
    fitted = np.polyfit([each.requests for each in later], [getattr(each, column) for each in later], 1)
    return float(fitted[0]) * _AS_PLANNED


def verdict(samples: Sequence[Sample]) -> list[str]:
    """A line for each thing that was sampled: flat or growing, and by how much."""
    told = []
    for column, unit, most in (
        ("rss_mib", " MiB", _FLAT_MIB),
        ("uss_mib", " MiB", _FLAT_MIB),
        ("descriptors", "", 4.0),
        ("threads", "", 2.0),
    ):
        grown = slope(samples, column)
        word = "growing" if grown > most else "flat" if grown <= most else "too few requests to tell"
        told.append(f"{column:11} {word}: {grown:+.2f}{unit} in {_AS_PLANNED:,} requests")
    return told


def main() -> None:
    """Run it, print the samples and what they say; exit code 1 where something grows."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=_AS_PLANNED)
    options.add_argument("--clients", type=int, default=6)
    options.add_argument("--minutes", type=float, default=1e6, help="stop after so many, whatever is left")
    options.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    chosen = options.parse_args()
    started = time.monotonic()
    print("requests   RSS, MiB  USS, MiB  descriptors  threads")
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as process:
        soak = Soak(Path(folder) / "b.sock", chosen.requests, started + chosen.minutes * 60)
        samples = asyncio.run(_run(soak, process, chosen.clients, chosen.every))
    took_s = time.monotonic() - started
    print(f"{soak.done:,} requests of {chosen.clients} clients in {took_s:.0f} s")
    print(", ".join(f"{kind}: {count:,}" for kind, count in sorted(soak.statuses.items())))
    told = verdict(samples)
    print("\n".join(told))
    sys.exit(any("growing" in line for line in told))


if __name__ == "__main__":
    main()

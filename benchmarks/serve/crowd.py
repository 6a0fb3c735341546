"""Throughput and latency at 1, 4 and 16 clients, against both of llama-cpp-python's servers."""

import statistics
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.serve.client import Streamed, complete
from benchmarks.serve.files import Prompts
from benchmarks.serve.findings import Finding
from benchmarks.serve.servers import Server, bedside, example_server, python_server

CLIENTS = (1, 4, 16)
_PROMPT, _ANSWER, _REQUESTS = 64, 32, 2
_ROUNDS = 3


def crowd(name: str, path: Path) -> Iterator[Finding]:
    """Each client sends its requests one after the other; the servers take turns, and are idle in between."""
    prompts = Prompts(path)
    found: dict[str, dict[int, tuple[float, float, float]]] = {}
    with ExitStack() as opened:
        servers: list[tuple[Server, Mapping[str, object]]] = [
            (opened.enter_context(bedside(path, parallel=max(CLIENTS))), {"drafting": False}),
            (opened.enter_context(python_server(path)), {}),
            (opened.enter_context(example_server(path, parallel=max(CLIENTS))), {"model": "model"}),
        ]
        for server, extra in servers:
            complete(server.url, {**prompts.body(_PROMPT, _ANSWER), **extra})
        for count in CLIENTS:
            rounds = [
                [_measure(server.url, prompts, extra, count) for server, extra in servers] for _ in range(_ROUNDS)
            ]
            for (server, _), measured in zip(servers, zip(*rounds, strict=True), strict=True):
                throughput, request_s, first_s = (statistics.median(each) for each in zip(*measured, strict=True))
                found.setdefault(server.name, {})[count] = (throughput, request_s, first_s)
    ours, *peers = found
    for count in CLIENTS:
        for peer in peers:
            mine, theirs = found[ours][count], found[peer][count]
            what = f"{name}: {count} client{'s'[: count > 1]} ({peer})"
            yield Finding(f"{what}: throughput", f"{mine[0]:.1f} tok/s", f"{theirs[0]:.1f} tok/s", mine[0] / theirs[0])
            yield Finding(f"{what}: request, median", f"{mine[1]:.2f} s", f"{theirs[1]:.2f} s", theirs[1] / mine[1])
            yield Finding(f"{what}: first token, median", f"{mine[2]:.2f} s", f"{theirs[2]:.2f} s", theirs[2] / mine[2])


def _measure(url: str, prompts: Prompts, extra: Mapping[str, object], clients: int) -> tuple[float, float, float]:
    """Tokens a second over all, median seconds of a request, median seconds to its first token."""
    answers: list[Streamed] = []
    bodies = [[{**prompts.body(_PROMPT, _ANSWER), **extra} for _ in range(_REQUESTS)] for _ in range(clients)]

    def ask(mine: list[dict[str, object]]) -> None:
        answers.extend(complete(url, body) for body in mine)

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(answers) != clients * _REQUESTS:
        raise SystemExit(f"{url}: {len(answers)} of {clients * _REQUESTS} answers came")
    span_s = max(each.ended_at for each in answers) - min(each.sent_at for each in answers)
    return (
        sum(each.completion_tokens for each in answers) / span_s,
        statistics.median(each.ended_at - each.sent_at for each in answers),
        statistics.median(each.first_s for each in answers),
    )

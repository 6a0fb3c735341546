"""Time to the first token where another request had the same beginning, and after a restart for a system message."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.serve.client import complete
from benchmarks.serve.files import Prompts
from benchmarks.serve.findings import Finding
from benchmarks.serve.servers import bedside

SHARED, SUFFIX = 1000, 50
_FRAME = 5
"""Tokens of the template around a user's turn, at most, in the files that are made here."""
_GOAL = 10.0


def shared_beginning(name: str, path: Path, runs: int) -> Iterator[Finding]:
    """Cold against warm, each with a suffix of its own."""
    prompts = Prompts(path)
    with bedside(path) as server:
        complete(server.url, prompts.body(SHARED, 1))
        cold: list[float] = []
        warm: list[float] = []
        for _ in range(runs):
            beginning = prompts.text(SHARED)
            for times in (cold, warm):
                text = beginning + prompts.text(SUFFIX)
                times.append(complete(server.url, prompts.body(0, 1, text)).first_s)
    yield _finding(f"{name}: first token, {SHARED} shared tokens", cold, warm)


def restarted(name: str, path: Path, runs: int) -> Iterator[Finding]:
    """The first question to a server that has just started, its state on disk from an earlier one."""
    prompts = Prompts(path)
    cold: list[float] = []
    warm: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            message = Path(folder) / "system.txt"
            message.write_text(prompts.text(SHARED))
            for times in (cold, warm):
                with bedside(path, "--warm", str(message), home=Path(folder)) as server:
                    turns = [
                        {"role": "system", "content": message.read_text()},
                        {"role": "user", "content": prompts.text(SUFFIX - _FRAME)},
                    ]
                    body = {"messages": turns, "max_tokens": 1, "logit_bias": prompts.bias}
                    answer = complete(server.url, body, "/v1/chat/completions")
                    times.append(answer.first_s)
            new = answer.usage["prompt_tokens"] - answer.usage["prompt_tokens_details"]["cached_tokens"]
            assert new <= SUFFIX, f"{new} tokens were read after the restart"
    yield _finding(f"{name}: first token after a restart, system message of {SHARED} tokens", cold, warm)


def _finding(what: str, cold: list[float], warm: list[float]) -> Finding:
    ratio = statistics.median(a / b for a, b in zip(cold, warm, strict=True))
    return Finding(
        f"{what}: warm (cold)", f"{statistics.median(warm):.3f} s", f"{statistics.median(cold):.3f} s", ratio, _GOAL
    )

"""From a cancellation inside a long prompt until its sequence is free again."""

import queue
import random
import time
from collections.abc import Iterator
from pathlib import Path

from assistant.engine.loaded import EngineSettings, LoadedModel
from assistant.engine.request import Event, Finished, Request, Ticket
from benchmarks.serve.findings import Finding
from benchmarks.serve.servers import SPAN

_PROMPT = 4000
_LIMIT_S = 0.05


def abort(name: str, path: Path, runs: int) -> Iterator[Finding]:
    """At random moments of the prompt's first seconds; the longest counts."""
    rng = random.Random(0)
    taken = []
    with LoadedModel.open(path, EngineSettings(context_tokens=SPAN, cache_bytes=0)) as loaded:
        for _ in range(runs):
            events: queue.Queue[Event] = queue.Queue()
            prompt = tuple(rng.choices(range(10, loaded.model.n_vocab), k=_PROMPT))
            ticket = Ticket(Request(prompt, 8), events.put)
            loaded.scheduler.submit(ticket)
            time.sleep(rng.uniform(0.5, 4.0))
            if any(isinstance(event, Finished) for event in _drained(events)):
                raise SystemExit("the prompt was read before it was cancelled; use a larger model")
            cancelled_at = time.monotonic()
            loaded.scheduler.cancel(ticket)
            while not isinstance(event := events.get(timeout=60), Finished):
                pass
            assert event.reason == "cancelled", event
            taken.append(time.monotonic() - cancelled_at)
    longest_s = max(taken)
    yield Finding(
        f"{name}: sequence free after an abort in {_PROMPT} tokens, longest of {runs}; goal {_LIMIT_S * 1000:.0f} ms",
        f"{longest_s * 1000:.0f} ms",
        "none aborts inside a prompt",
        _LIMIT_S / longest_s,
        1.0,
    )


def _drained(events: "queue.Queue[Event]") -> list[Event]:
    found = []
    while not events.empty():
        found.append(events.get())
    return found

"""How long a history of 10,000 messages takes to open and to search, and what it costs to unlock and to write.

Usage: `python -m benchmarks.history [--messages N]`. It fills an encrypted history in a temporary folder with questions and
answers of sentences from the starter notes, and ends with 1 where opening or any search takes 100 ms or more in the median.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from assistant.history.conversation import Conversation, Message, Role
from assistant.history.place import database_file
from assistant.history.store import History
from assistant.history.vault import Vault
from models.starter import load_notes

LIMIT_S = 0.1
ROUNDS = 15
SEED = 20261122
TURNS = 20  # questions, and as many answers, in a conversation
QUERIES = ("zymurgy", "patients", "pain fever", "treatment of the", "ant", '"blood pressure"', "warfarin bleeding dose")
_STARTED = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Timing:
    """Of one thing that a person waits for: the median and the longest of some rounds."""

    what: str
    median_s: float
    longest_s: float
    is_limited: bool = True

    def __str__(self) -> str:
        limit = f" (limit {1e3 * LIMIT_S:.0f})" if self.is_limited else ""
        return f"{self.what}: {1e3 * self.median_s:.1f} ms{limit}, longest {1e3 * self.longest_s:.1f}"


def conversations(messages: int) -> Iterator[tuple[Conversation, list[Message]]]:
    """So many messages of random sentences, the same every time."""
    chance = random.Random(SEED)
    sentences = [sentence for note in load_notes() for sentence in note.text.split(". ") if 20 < len(sentence) < 300]
    for number in range(0, messages, 2 * TURNS):
        begun = _STARTED + timedelta(hours=number)
        found: list[Message] = []
        for place in range(min(2 * TURNS, messages - number)):
            text = ". ".join(chance.choices(sentences, k=2 + 6 * (place % 2)))
            parent = found[-1].id if found else None
            role: Role = "assistant" if place % 2 else "user"
            name = f"{number + place:032x}"
            details = (
                {"model": "reference", "sources": [{"n": 1, "text": chance.choice(sentences)}]} if place % 2 else {}
            )
            found.append(Message(name, parent, role, text, begun + timedelta(minutes=place), "complete", details))
        ended, title = found[-1], found[0].text[:60]
        yield Conversation(f"{number + 2**64:032x}", title, begun, ended.written_at, (), ended.id), found


def timed(what: str, work: Callable[[], object], rounds: int = ROUNDS) -> Timing:
    """Do it some times."""
    taken: list[float] = []
    for _ in range(rounds):
        started = time.monotonic()
        work()
        taken.append(time.monotonic() - started)
    return Timing(what, statistics.median(taken), max(taken))


def measure(folder: Path, messages: int) -> Iterator[Timing]:
    """Fill a history, then open and search it as a terminal does: searches over a connection that was just opened."""
    vault = Vault(folder)
    key, _ = vault.create("a passphrase for measuring")
    with closing(History.open(folder, key)) as history:
        history.take_in(conversations(messages), "imported")

    def open_and_list() -> None:
        with closing(History.open(folder, key)) as history:
            history.conversations(50)

    yield timed("open and list 50 conversations", open_and_list)
    for query in QUERIES:
        with closing(History.open(folder, key)) as history:
            yield timed(f"search {query!r}", lambda: history.search(query, 20))  # noqa: B023  (used here only)
    with closing(History.open(folder, key)) as history:
        [shown] = history.conversations(1)
        yield timed("read a conversation", lambda: history.messages(shown.id))
        answer = history.messages(shown.id)[-1]
        longer = iter(range(1, ROUNDS + 1))
        save = lambda: history.change(replace(answer, text=answer.text + " more" * next(longer)))  # noqa: E731
        yield replace(timed("save an answer that has grown", save), is_limited=False)
    unlock = timed("unlock by passphrase", lambda: vault.unlock("a passphrase for measuring"), rounds=3)
    yield replace(unlock, is_limited=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    given = parser.parse_args(arguments)
    slow = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "history"
        for timing in measure(folder, given.messages):
            print(timing, flush=True)
            slow += timing.is_limited and timing.median_s >= LIMIT_S
        print(f"{given.messages:,} messages, {database_file(folder).stat().st_size / 1e6:.1f} MB")
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())

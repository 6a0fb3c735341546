"""`make bench-terminal`: how soon `bedside chat` shows what there is, and what it takes, against a scripted server.

Measured through a pseudo-terminal, from the key that goes in to the bytes that come out:

* start: from the command to the input on the screen;
* first token: from Enter to its bytes, less the time that the server took;
* echo: from a key to its bytes while an answer of 4,000 tokens comes in at 100 tokens a second;
* memory: resident, and its own (USS), at the end of that answer.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.pseudo_terminal import PseudoTerminal, terminal
from benchmarks.scripted_server import Script, ScriptedServer, first, last, piece, serving, source

TOKENS, TOKENS_PER_S = 4000, 100
STARTS, QUESTIONS, KEYS = 5, 20, 150
SERVER_S = 0.2
_READY = "2,048"
_MIB = 2**20
_KEY_LETTERS = "абвгдежзиклмнопрстуфхцчшщэюя"
"""Found nowhere else on the screen."""


@dataclass(frozen=True)
class Limit:
    """What a figure may be at most."""

    name: str
    unit: str
    most: float


START, FIRST, ECHO = Limit("start", "ms", 1000), Limit("first token", "ms", 50), Limit("echo", "ms", 20)
MEMORY = Limit("memory", "MiB", 120)


def measure_start(url: str, folder: Path) -> list[float]:
    """Milliseconds of each start."""
    found = []
    for _ in range(STARTS):
        begun_at = time.monotonic()
        with terminal(folder, "--url", url) as shown:
            found.append((shown.read_until("sk a question") - begun_at) * 1e3)
    return found


def measure_first(server: ScriptedServer, shown: PseudoTerminal) -> list[float]:
    """Milliseconds from Enter to the first token, above those of the server."""
    found = []
    for number in range(QUESTIONS):
        word = f"first{number}x"
        server.scripts.append([first(), SERVER_S, piece(f"{word} "), last()])
        shown.press(f"q{number}", 0.2)
        start = len(shown.written)
        pressed_at = shown.write("\r")
        found.append((shown.read_until(word, start=start) - pressed_at - SERVER_S) * 1e3)
        shown.press("", 0.2)
    return found


def long_answer() -> Script:
    """4,000 tokens in paragraphs that cite, at 100 a second."""
    steps: list[dict[str, object] | float] = [first([source(1, "Title", "Section", "Words of the passage.")])]
    for number in range(TOKENS):
        ends = "\n\n" if number % 80 == 79 else " [1] " if number % 20 == 19 else " "
        steps += [piece(f"word{number}{ends}"), 1 / TOKENS_PER_S]
    return [*steps, last()]


def measure_echo(server: ScriptedServer, shown: PseudoTerminal) -> list[float]:
    """Milliseconds from a key to its echo, over the whole of the answer."""
    server.scripts.append(long_answer())
    shown.press("long", 0.2)
    shown.press("\r", 0.5)
    found = []
    for number in range(KEYS):
        letter = _KEY_LETTERS[number % len(_KEY_LETTERS)]
        start = len(shown.written)
        pressed_at = shown.write(letter)
        found.append((shown.read_until(letter, start=start) - pressed_at) * 1e3)
        shown.press("\x15" if number % 25 == 24 else "", TOKENS / TOKENS_PER_S / KEYS)  # Ctrl+U empties the line
    shown.read_until(f"word{TOKENS - 1}", 120)
    return found


def report(limit: Limit, found: Sequence[float], of: Callable[[Sequence[float]], float]) -> bool:
    """One line; whether the figure is small enough."""
    value = of(found)
    median, worst = statistics.median(found), max(found)
    good = value <= limit.most
    told = f"median {median:.1f}, worst {worst:.1f} {limit.unit} of {len(found)}"
    print(
        f"{limit.name:12} {value:8.1f} {limit.unit:4} (at most {limit.most:g})  {'ok' if good else 'TOO MUCH'}; {told}"
    )
    return good


def percentile_95(found: Sequence[float]) -> float:
    """Nineteen of twenty are below."""
    return statistics.quantiles(found, n=20)[-1]


def main() -> int:
    """Measure everything, print it, and fail where a limit is passed."""
    server = ScriptedServer([])
    with tempfile.TemporaryDirectory() as name, serving(server) as url:
        folder = Path(name)
        good = [report(START, measure_start(url, folder), statistics.median)]
        with terminal(folder, "--url", url, "--lock-after", "60") as shown:
            shown.read_until(_READY)
            good.append(report(FIRST, measure_first(server, shown), percentile_95))
            good.append(report(ECHO, measure_echo(server, shown), percentile_95))
            taken = psutil.Process(shown.process.pid).memory_full_info()
            good.append(report(MEMORY, [taken.rss / _MIB], statistics.median))
            print(f"{'':12} of it its own (USS) {taken.uss / _MIB:.1f} MiB")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

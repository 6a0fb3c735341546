"""Two things measured in turns, and only while nobody else uses the machine."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

MOST_ELSEWHERE = 0.05
"""Of a core, by processes that have no part in the measurement."""
_MOST_TRIES = 4
Measure = Callable[[], Sequence[float]]


@dataclass(frozen=True)
class Pairs:
    """Values of ours and the peer's, pair by pair; one row for each quantity."""

    ours: Sequence[Sequence[float]]
    peers: Sequence[Sequence[float]]
    discarded: int

    def ratio(self, quantity: int) -> float:
        """The median of ours over the peer's, pair by pair."""
        return statistics.median(a[quantity] / b[quantity] for a, b in zip(self.ours, self.peers, strict=True))

    def medians(self, quantity: int) -> tuple[float, float]:
        """Ours and the peer's."""
        return statistics.median(a[quantity] for a in self.ours), statistics.median(b[quantity] for b in self.peers)


def alternate(ours: Measure, peer: Measure, pairs: int, most_elsewhere: float = MOST_ELSEWHERE) -> Pairs:
    """`pairs` quiet pairs, each begun by the other one than the last; noisy ones are measured again, at most so often.

    `most_elsewhere` is what others may use of a core during a pair.
    """
    found: list[tuple[Sequence[float], Sequence[float]]] = []
    discarded = 0
    while len(found) < pairs and discarded < _MOST_TRIES * pairs:
        before = _Busy()
        if (len(found) + discarded) % 2:
            theirs, mine = peer(), ours()
        else:
            mine, theirs = ours(), peer()
        if before.elsewhere() > most_elsewhere:
            discarded += 1
            continue
        found.append((mine, theirs))
    if len(found) < pairs:
        raise SystemExit(f"{discarded} pairs were disturbed by other processes; end them and run this again")
    return Pairs([mine for mine, _ in found], [theirs for _, theirs in found], discarded)


class _Busy:
    """Processor time from its creation on: all of it, and that of this process and its children."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._all_s, self._own_s = _all_s(), _own_s()

    def elsewhere(self) -> float:
        """Cores that others used on average."""
        others_s = (_all_s() - self._all_s) - (_own_s() - self._own_s)
        return max(others_s, 0.0) / (time.monotonic() - self._started)


def _all_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _own_s() -> float:
    """Children that have ended are counted by the system, those that run here."""
    ended = sum(os.times()[:4])
    return ended + sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))

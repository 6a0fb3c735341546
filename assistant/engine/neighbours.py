"""How many threads to use beside other busy processes.

llama.cpp's threads wait for each other spinning, hundreds of times per token: where another process keeps one of two
cores busy, a token took 1,600 ms with two threads, 29 ms with one, and 18 ms with two on an idle machine.
"""

import os
import time

import psutil

_IDLE = ("idle", "iowait", "guest", "guest_nice")  # guest time is counted in user time already
_SHORTEST_WINDOW_S = 0.1  # the kernel counts in ticks of 10 ms
_NEGLIGIBLE_CORES = 0.6  # what others may use of a core before it is left to them


class NeighbourMeter:
    """Measures, from its creation on, how many cores other processes keep busy."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = _own_s()

    def busy_cores(self) -> float:
        """Cores that others used on average since the start; waits until that can be told."""
        if (missing_s := self._started + _SHORTEST_WINDOW_S - time.monotonic()) > 0:
            time.sleep(missing_s)
        elsewhere_s = (_busy_s() - self._busy_s) - (_own_s() - self._own_s)
        return max(0.0, elsewhere_s) / (time.monotonic() - self._started)


def threads_beside(busy_cores: float, cores: int) -> int:
    """Threads to use on `cores` of which others keep `busy_cores` busy; always one at least."""
    return max(1, cores - int(busy_cores + 1 - _NEGLIGIBLE_CORES))


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for kind, seconds in times.items() if kind not in _IDLE))


def _own_s() -> float:
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])

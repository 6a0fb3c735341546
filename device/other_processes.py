"""What other processes took of the processor while something was measured: names only, no arguments."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import psutil

_BUSY_CORES = 0.05  # of one core: what uses less is left out
_MOST_BUSY = 5
_DISTURBING_CORES = 0.1  # llama.cpp's threads wait for each other: beside a busy neighbour they are many times slower
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")  # guest time is counted in user time already


class _Ran(NamedTuple):
    name: str
    cpu_s: float


@dataclass(frozen=True)
class Others:
    """What other processes took of the processor, in cores on average."""

    cores: float
    """All of them together, those that have ended included."""
    busiest: Mapping[str, float]
    """By name, of those that still ran in the end."""

    @property
    def disturb(self) -> bool:
        """Whether they took so much that speed and power are not those of what was measured alone."""
        return self.cores > _DISTURBING_CORES


class OtherProcesses:
    """Remembers how long everything has run, to tell later what was busy meanwhile."""

    def __init__(self) -> None:
        self._began_s, self._before, self._elsewhere_s = time.monotonic(), _processor_times(), _elsewhere_s()

    def so_far(self) -> Others:
        """On average since the start."""
        passed_s = time.monotonic() - self._began_s
        return Others(max(0.0, _elsewhere_s() - self._elsewhere_s) / passed_s, self._busiest(passed_s))

    def _busiest(self, passed_s: float) -> dict[str, float]:
        cores: dict[str, float] = {}
        for key, ran in _processor_times().items():
            before = self._before.get(key)
            used_s = ran.cpu_s - (before.cpu_s if before else 0.0)
            cores[ran.name] = cores.get(ran.name, 0.0) + used_s / passed_s
        busiest = sorted(cores.items(), key=lambda item: -item[1])[:_MOST_BUSY]
        return {name: round(used, 3) for name, used in busiest if used >= _BUSY_CORES}


def _elsewhere_s() -> float:
    """Processor time of all but this process and its children that have ended."""
    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for kind, seconds in times.items() if kind not in _NOT_BUSY)) - sum(os.times()[:4])


def _processor_times() -> dict[tuple[int, float], _Ran]:
    """By number and start, since numbers are used again; this process is left out."""
    own, found = psutil.Process().pid, {}
    for process in psutil.process_iter(["name", "cpu_times", "create_time"]):
        info = process.info
        if process.pid != own and info["cpu_times"] is not None:
            times = info["cpu_times"]
            found[process.pid, info["create_time"]] = _Ran(info["name"] or "?", times.user + times.system)
    return found

"""In which state the machine measured: looks at it between answers, other busy processes, versions, and what to flag."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

import psutil

from device.board import Board
from device.clocks import CpuClock, read_cpu_clocks
from device.system import System
from device.thermals import Fan, read_fans, read_temperatures
from device.throttling import Throttling, read_throttling
from models.runtime.library import library_build

_BUSY_CORES = 0.05  # of one core: what uses less is left out
_MOST_BUSY = 5
_DISTURBING_CORES = 0.1  # llama.cpp's threads wait for each other: beside a busy neighbour they are many times slower
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")  # guest time is counted in user time already


@dataclass(frozen=True)
class Look:
    """What may change while answers run."""

    time_s: float
    temperatures_c: dict[str, float]
    cpu_clocks: tuple[CpuClock, ...]
    fans: tuple[Fan, ...]
    throttling: Throttling


def look(system: System, model: str | None) -> Look:
    """Files, and on a Raspberry Pi its firmware's flags: a millisecond or two."""
    return Look(
        time.monotonic(),
        read_temperatures(system),
        read_cpu_clocks(system),
        read_fans(system),
        read_throttling(system, model),
    )


@dataclass(frozen=True)
class Versions:
    """What was measured with."""

    bedside: str
    llama_cpp: str
    """The package's version and what it was compiled for."""
    python: str
    kernel: str


def read_versions() -> Versions:
    """Of this installation and this machine."""
    return Versions(version("bedside"), library_build(), platform.python_version(), platform.release())


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


class OtherProcesses:
    """Remembers how long everything has run, to tell later what was busy meanwhile: names only, no arguments."""

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


@dataclass(frozen=True)
class Circumstances:
    """The board before, a look after each answer, and who else was busy."""

    board: Board
    looks: tuple[Look, ...]
    others: Others

    @property
    def is_disturbed(self) -> bool:
        """Whether other processes took so much that speed and power are not those of the answers alone."""
        return self.others.cores > _DISTURBING_CORES

    @property
    def highest_c(self) -> dict[str, float]:
        """The highest temperature of each zone, at the start or after an answer."""
        highest: dict[str, float] = dict(self.board.temperatures_c)
        for seen in self.looks:
            for zone, temperature_c in seen.temperatures_c.items():
                highest[zone] = max(temperature_c, highest.get(zone, temperature_c))
        return highest

    @property
    def lowest_mhz(self) -> dict[str, float]:
        """The slowest clock of each group of cores that was seen right after an answer."""
        lowest: dict[str, float] = {}
        for clock in (clock for seen in self.looks for clock in seen.cpu_clocks):
            if clock.now_mhz is not None:
                lowest[clock.policy] = min(clock.now_mhz, lowest.get(clock.policy, clock.now_mhz))
        return lowest

    @property
    def over_current_deltas(self) -> dict[str, int] | None:
        """How often each of a Jetson's alarms came during the run; None where there are none to count."""
        before = self.board.throttling.over_current_events
        after = self.looks[-1].throttling.over_current_events if self.looks else before
        if before is None or after is None:
            return None
        return {name: count - before.get(name, 0) for name, count in after.items()}

    @property
    def throttle_events(self) -> tuple[str, ...]:
        """Every sign that the board slowed itself down, or was about to, while it was measured."""
        events = [f"{name}: {count} events" for name, count in (self.over_current_deltas or {}).items() if count]
        states = [self.board.throttling, *(seen.throttling for seen in self.looks)]
        events += [f"{flag} was set" for flag in _flags_seen(states)]
        if any(state.supply_too_low for state in states):
            events.append("the supply's voltage was too low")
        return tuple(events)


def _flags_seen(states: Sequence[Throttling]) -> list[str]:
    """Flags of a Raspberry Pi that were set at a look, or since the first one."""
    given = [state.flags for state in states if state.flags is not None]
    now = {flag for flags in given for flag in flags.now}
    new = set(given[-1].since_boot) - set(given[0].since_boot) if given else set()
    return sorted(now | new)

"""In which state the machine measured: looks at it between answers, versions, and what to flag."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from device.board import Board
from device.clocks import CpuClock, read_cpu_clocks
from device.other_processes import Others
from device.system import System
from device.thermals import Fan, read_fans, read_temperatures
from device.throttling import Throttling, read_throttling
from models.runtime.library import library_build


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


@dataclass(frozen=True)
class Circumstances:
    """The board before, a look after each answer, and who else was busy."""

    board: Board
    looks: tuple[Look, ...]
    others: Others

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

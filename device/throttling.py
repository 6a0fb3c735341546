"""Whether the board slowed itself down: a Raspberry Pi's flags, a Jetson's counters, a power supply that is too weak."""

import re
from dataclasses import dataclass

from device.errors import SourceUnavailableError
from device.system import System

FLAGS = ("under_voltage", "arm_freq_capped", "throttled", "soft_temp_limit")
"""Bits 0 to 3 of get_throttled, and 16 to 19 for the time since boot."""
_SINCE_BOOT_BIT = 16
_THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]+)\s*")


@dataclass(frozen=True)
class ThrottleFlags:
    """What a Raspberry Pi's firmware says."""

    now: tuple[str, ...]
    since_boot: tuple[str, ...]


@dataclass(frozen=True)
class Throttling:
    """All that is known about it; None where the board does not say, which is not the same as no."""

    flags: ThrottleFlags | None
    over_current_events: dict[str, int] | None
    """A Jetson's counters since boot, by alarm: only their growth during a run says something about it."""
    supply_too_low: bool | None
    """A Raspberry Pi's alarm now, refreshed every 2 s."""


def parse_throttled(text: str) -> ThrottleFlags | None:
    """What `vcgencmd get_throttled` prints; None where it is anything else."""
    found = _THROTTLED.fullmatch(text.strip())
    if not found:
        return None
    bits = int(found[1], 16)
    return ThrottleFlags(_named(bits), _named(bits >> _SINCE_BOOT_BIT))


def _named(bits: int) -> tuple[str, ...]:
    return tuple(flag for bit, flag in enumerate(FLAGS) if bits >> bit & 1)


def read_throttling(system: System, model: str | None) -> Throttling:
    """Everything that this board says; the firmware is asked on a Raspberry Pi only."""
    flags = None
    if (model or "").startswith("Raspberry Pi") and system.is_own:
        try:
            flags = parse_throttled(system.run(["vcgencmd", "get_throttled"]))
        except SourceUnavailableError:
            flags = None
    alarms = _numbers(system, "rpi_volt", "in0_lcrit_alarm")
    return Throttling(
        flags=flags,
        over_current_events=_numbers(system, "soctherm_oc", "oc*_event_cnt") or None,
        supply_too_low=any(alarms.values()) if alarms else None,
    )


def _numbers(system: System, driver: str, pattern: str) -> dict[str, int]:
    """Whole numbers in the files of the hwmon devices of `driver`, by file name."""
    numbers = {}
    for name in system.glob("/sys/class/hwmon/hwmon*/name"):
        try:
            if system.read(name) != driver:
                continue
            for path in sorted(name.parent.glob(pattern)):
                numbers[path.name] = int(system.read(path))
        except (OSError, ValueError):
            continue
    return numbers

"""How a Jetson's chip smooths VDD_IN: jtop and tegrastats show the same sensor as sysfs, and lag as much."""

from pathlib import Path

from device.reading import Filter
from device.sources.sysfs import number_if_any
from device.system import System

TOTAL_RAIL = "VDD_IN"
_LONGEST_CYCLE_MS = 50  # three channels, volts and amperes of each, 8.244 ms at most


def read_total_filter(system: System) -> Filter | None:
    """The filter of the chip that has VDD_IN; None where its files do not say."""
    for label in system.glob("/sys/class/hwmon/hwmon*/in[123]_label"):
        try:
            if system.read(label.with_name("name")) == "ina3221" and system.read(label) == TOTAL_RAIL:
                return read_filter(system, label.parent)
        except OSError:
            continue
    return None


def read_filter(system: System, chip: Path) -> Filter | None:
    """How the chip averages, as far as its files say.

    `update_interval` counts the samples before Linux 5.14 and a single cycle since ("use CVRF only for single-shot
    conversion", 2021). What is longer than any cycle counts them; where both are possible the longer time is meant, since a
    measurement that waits too long loses nothing.
    """
    samples = number_if_any(system, chip / "samples")
    interval_ms = number_if_any(system, chip / "update_interval")
    if not samples or not interval_ms or min(samples, interval_ms) < 0:
        return None
    time_constant_ms = interval_ms if interval_ms > _LONGEST_CYCLE_MS else interval_ms * samples
    return Filter(samples, interval_ms / 1e3, time_constant_ms / 1e3)

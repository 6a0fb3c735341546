"""How a Jetson's chip smooths VDD_IN: jtop and tegrastats show the same sensor as sysfs, and lag as much."""

from pathlib import Path

from device.reading import Filter
from device.system import System

TOTAL_RAIL = "VDD_IN"
_LONGEST_CYCLE_MS = 50  # three channels, volts and amperes of each, 8.244 ms at most


def read_total_filter(system: System) -> Filter | None:
    """The filter of the chip that has VDD_IN; None where its files do not say."""
    for label in system.glob("/sys/class/hwmon/hwmon*/in[123]_label"):
        try:
            if system.read(label.with_name("name")) == "ina3221" and system.read(label) == TOTAL_RAIL:
                return _read_filter(system, label.parent)
        except (OSError, ValueError):
            continue
    return None


def _read_filter(system: System, chip: Path) -> Filter | None:
    """`update_interval` counts the samples before Linux 5.14, since then one cycle: what is too long for a cycle counts them."""
    samples, interval_ms = int(system.read(chip / "samples")), int(system.read(chip / "update_interval"))
    if samples <= 0 or interval_ms <= 0:
        return None
    time_constant_ms = interval_ms if interval_ms > _LONGEST_CYCLE_MS else interval_ms * samples
    return Filter(samples, interval_ms / 1e3, time_constant_ms / 1e3)

"""How fast the processor's cores may run, and run now."""

from dataclasses import dataclass
from pathlib import Path

from device.system import System


@dataclass(frozen=True)
class CpuClock:
    """Cores that share a clock; None where the system does not say."""

    policy: str
    min_mhz: float | None
    now_mhz: float | None
    max_mhz: float | None
    governor: str | None


def read_cpu_clocks(system: System) -> tuple[CpuClock, ...]:
    """One entry for each group of cores that cpufreq knows."""
    return tuple(_clock(system, folder) for folder in system.glob("/sys/devices/system/cpu/cpufreq/policy*"))


def _clock(system: System, folder: Path) -> CpuClock:
    def mhz(name: str) -> float | None:
        try:
            return int(system.read(folder / name)) / 1000  # the file has kHz
        except (OSError, ValueError, OverflowError):
            return None

    try:
        governor: str | None = system.read(folder / "scaling_governor")
    except OSError:
        governor = None
    return CpuClock(
        folder.name, mhz("scaling_min_freq"), mhz("scaling_cur_freq"), mhz("scaling_max_freq"), governor or None
    )

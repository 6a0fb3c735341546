"""What board this is and the state that it is in: what a figure of power has to be read with.

Serial numbers are neither read nor kept.
"""

import re
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from device.clocks import CpuClock, read_cpu_clocks
from device.power_mode import PowerMode, read_power_mode
from device.system import System
from device.thermals import Fan, read_fans, read_firmware_temperature, read_temperatures
from device.throttling import Throttling, read_throttling

_MODEL_FILES = ("/sys/firmware/devicetree/base/model", "/proc/device-tree/model")
_DMI_FILES = ("/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name")
_TEGRA_RELEASE = "/etc/nv_tegra_release"
_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
_CUDA_LIBRARIES = (
    "/usr/lib/*-linux-gnu/libcuda.so.1",
    "/usr/lib/*-linux-gnu/tegra/libcuda.so.1",
    "/usr/lib/*-linux-gnu/nvidia/libcuda.so.1",
    "/usr/lib64/libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1",
)


@dataclass(frozen=True)
class Board:
    """One look at a board; None where it does not say."""

    model: str | None
    l4t: str | None
    """The release of NVIDIA's system on a Jetson, `36.4.3`."""
    memory_bytes: int | None
    """What the system has of the memory soldered on."""
    cuda: bool | None
    """Whether NVIDIA's driver library is here; one that is here may still find no GPU. A tree of files may merely lack it."""
    power_mode: PowerMode | None
    cpu_clocks: tuple[CpuClock, ...]
    temperatures_c: dict[str, float]
    fans: tuple[Fan, ...]
    throttling: Throttling

    def to_json(self) -> dict[str, Any]:
        """Everything, as `json` takes it."""
        return asdict(self)


def look_at_board(system: System) -> Board:
    """Look once, at files, and at the firmware's flags where it is this machine itself and a Raspberry Pi."""
    model = read_model(system)
    temperatures_c = read_temperatures(system)
    if not temperatures_c and (model or "").startswith("Raspberry Pi"):
        temperatures_c = read_firmware_temperature(system)
    return Board(
        model=model,
        l4t=_read_l4t(system),
        memory_bytes=_read_memory(system),
        cuda=any(system.glob(pattern) for pattern in _CUDA_LIBRARIES) or (False if system.is_own else None),
        power_mode=read_power_mode(system),
        cpu_clocks=read_cpu_clocks(system),
        temperatures_c=temperatures_c,
        fans=read_fans(system),
        throttling=read_throttling(system, model),
    )


def read_model(system: System) -> str | None:
    """The board's name as its maker wrote it: in the device tree, else in the firmware's tables of a PC."""
    found = [_text(system, name) for name in _MODEL_FILES]
    names = [_text(system, name) for name in _DMI_FILES]
    return next(filter(None, found), None) or " ".join(filter(None, names)) or None


def _text(system: System, name: str) -> str:
    try:
        return system.read(system.path(name))
    except OSError:
        return ""


def _read_l4t(system: System) -> str | None:
    """None without the file; `unknown` where its first line is of another form."""
    try:
        found = _RELEASE.match(system.read(system.path(_TEGRA_RELEASE)))
    except OSError:
        return None
    return f"{found[1]}.{found[2]}" if found else "unknown"


def _read_memory(system: System) -> int | None:
    if system.is_own:
        return int(psutil.virtual_memory().total)
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB$", system.read(system.path("/proc/meminfo")), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None

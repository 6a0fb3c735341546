"""Machines as a tree of small files, and readers whose files fail as the kernel's do."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from device.system import System

Files = Mapping[str, str | int]

JETSON: Files = {
    "sys/firmware/devicetree/base/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "sys/class/hwmon/hwmon0/name": "pwmfan",
    "sys/class/hwmon/hwmon3/name": "ina3221",
    "sys/class/hwmon/hwmon3/samples": 512,
    "sys/class/hwmon/hwmon3/update_interval": 430,
    "sys/class/hwmon/hwmon3/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon3/in1_input": 5000,
    "sys/class/hwmon/hwmon3/curr1_input": 1200,
    "sys/class/hwmon/hwmon3/shunt1_resistor": 5000,
    "sys/class/hwmon/hwmon3/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon3/in2_input": 5000,
    "sys/class/hwmon/hwmon3/curr2_input": 400,
    "sys/class/hwmon/hwmon3/in3_label": "VDD_SOC",
    "sys/class/hwmon/hwmon3/in3_input": 5000,
    "sys/class/hwmon/hwmon3/curr3_input": 200,
    "sys/class/hwmon/hwmon3/in4_input": 6000,
    "sys/class/hwmon/hwmon3/in7_label": "sum of shunt voltages",
    "sys/class/hwmon/hwmon3/in7_input": 9000,
    "sys/class/hwmon/hwmon3/curr4_input": 1800,
}
INA226: Files = {
    "sys/class/hwmon/hwmon5/name": "ina226",
    "sys/class/hwmon/hwmon5/in0_input": 12,
    "sys/class/hwmon/hwmon5/in1_input": 5000,
    "sys/class/hwmon/hwmon5/curr1_input": 1000,
    "sys/class/hwmon/hwmon5/power1_input": 6_000_000,
    "sys/class/hwmon/hwmon5/shunt_resistor": 100_000,
    "sys/class/hwmon/hwmon5/update_interval": 500,
}
RAPL: Files = {
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": 1_000_000,
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": 10_000_000,
    # The kernel lists zones inside a package beside it as well.
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": 500_000,
    "sys/class/powercap/intel-rapl:0:0/max_energy_range_uj": 10_000_000,
}
BATTERY: Files = {
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/status": "Discharging",
    "sys/class/power_supply/BAT0/power_now": 7_350_000,
    "sys/class/power_supply/BAT0/current_now": 1_000_000,
    "sys/class/power_supply/BAT0/voltage_now": 7_000_000,
}


def write(root: Path, *trees: Files) -> Path:
    """Put files below `root`."""
    for tree in trees:
        for name, content in tree.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n", "utf-8")
    return root


class Watched(System):
    """Remembers what is read, and fails where it is told to: a plain file cannot answer with ENODATA."""

    def __init__(self, root: Path, faults: Mapping[str, int] | None = None) -> None:
        super().__init__(root)
        self.faults = dict(faults or {})
        """Errno by the name of the file below the root, or by its last part."""
        self.reads: list[Path] = []

    @property
    def seen(self) -> set[str]:
        """Names of the files that were read."""
        return {path.name for path in self.reads}

    def read(self, path: Path) -> str:
        names = {path.name, os.path.relpath(path, self.root), os.path.relpath(path.resolve(), self.root.resolve())}
        self.reads.append(path.resolve())
        for name in names & self.faults.keys():
            raise OSError(self.faults[name], os.strerror(self.faults[name]), str(path))
        return super().read(path)


FORBIDDEN, TIMED_OUT, NO_DATA, GONE = errno.EACCES, errno.ETIMEDOUT, errno.ENODATA, errno.ENODEV

"""The energy counters of an x86 processor: whole packages only.

Zones inside a package (core, uncore, dram) are parts of it or lie beside it, so they are neither read nor added. The kernel
lists them flat beside the packages (Linux Documentation/power/powercap), which is why the zones are told apart by name.
"""

from pathlib import Path

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sources.counter import EnergyCounter
from device.sources.sysfs import number_if_any, read_number, text_if_any, udev_remedy
from device.system import System

# Only a group, not everybody: the counter's fine steps betray what other programs compute (CVE-2020-8694).
_MAY_READ = udev_remedy(
    'SUBSYSTEM=="powercap", KERNEL=="intel-rapl:*", RUN+="/bin/chgrp adm /sys%p/energy_uj", '
    'RUN+="/bin/chmod g+r /sys%p/energy_uj"',
    "subsystem-match=powercap",
).replace("as root, ", "with a user of the group adm: as root, ", 1)


class Rapl:
    """All packages of this machine, as one total."""

    def __init__(self, system: System, zones: dict[str, Path]) -> None:
        self._system = system
        self._zones = [
            (zone / "energy_uj", EnergyCounter(number_if_any(system, zone / "max_energy_range_uj")))
            for zone in zones.values()
        ]
        self.meter = Meter(source="rapl", rail=" + ".join(zones), scope="cpu-package", kind="measured")

    def read(self) -> Reading:
        """Joules that the packages have used; their counters say nothing of watts."""
        counted = [(counter, read_number(self._system, path, _MAY_READ)) for path, counter in self._zones]
        return Reading(energy_j=sum(counter.energy_j(counted_uj) for counter, counted_uj in counted))

    def close(self) -> None:
        """Nothing is held open."""


def open_rapl(system: System) -> Rapl:
    """The processor's packages. Raises SourceUnavailableError: none, none that counts, or not for this user."""
    zones: dict[str, Path] = {}
    for zone in system.glob("/sys/class/powercap/intel-rapl:*"):
        name = text_if_any(system, zone / "name")
        if name.startswith("package-"):
            zones.setdefault(name, zone)
    if not zones:
        raise SourceUnavailableError(
            "no package counter in /sys/class/powercap",
            "on an x86 machine that is not virtual, load it as root\nmodprobe intel_rapl_msr",
        )
    source = Rapl(system, zones)
    try:
        if source.read().energy_j == 0:
            raise SourceUnavailableError(
                "the package counter stands at 0, as in a virtual machine", "measure on the machine itself"
            )
    except ReadingError:
        pass  # one look that failed: the caller's next one may not
    return source

"""The machine's own battery: what flows out of it is what the machine takes, as long as nothing charges it.

Units are those of the kernel's power_supply class: microwatts, microvolts, microamperes; the sign of a current depends on the
driver. Supplies named ucsi-* state what a USB-C charger agreed to, not what flows. A battery of scope "Device" is a mouse's.
"""

from contextlib import suppress
from pathlib import Path

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sources.sysfs import read_number, text_if_any, udev_remedy
from device.system import System

_MAY_READ = udev_remedy(
    'SUBSYSTEM=="power_supply", ATTR{type}=="Battery", RUN+="/bin/sh -c \'chmod a+r /sys%p/*_now /sys%p/status\'"',
    "subsystem-match=power_supply",
)
_PERIOD_S = 1.0  # fuel gauges renew their figures every second or more seldom


class Battery:
    """All batteries of the machine, of which at least one discharges and none charges."""

    def __init__(self, system: System, batteries: list[Path]) -> None:
        self._system, self._batteries = system, batteries
        rail = " + ".join(battery.name for battery in batteries)
        self.meter = Meter(source="battery", rail=rail, scope="supply", kind="measured", period_s=_PERIOD_S)

    def read(self) -> Reading:
        """Watts that flow out. Raises ReadingError while the machine is not run from the battery alone."""
        status = {battery: text_if_any(self._system, battery / "status") for battery in self._batteries}
        if "Charging" in status.values() or "Discharging" not in status.values():
            raise ReadingError(_not_discharging(status))
        power_w = sum(self._power_w(battery) for battery, said in status.items() if said == "Discharging")
        if power_w <= 0:
            raise ReadingError(f"{self.meter.rail} says {power_w:g} W while it discharges")
        return Reading(power_w=power_w)

    def _power_w(self, battery: Path) -> float:
        if (battery / "power_now").exists():
            return abs(read_number(self._system, battery / "power_now", _MAY_READ)) / 1e6
        microamperes = read_number(self._system, battery / "current_now", _MAY_READ)
        microvolts = read_number(self._system, battery / "voltage_now", _MAY_READ)
        return abs(microamperes * microvolts) / 1e12

    def close(self) -> None:
        """Nothing is held open."""


def open_battery(system: System) -> Battery:
    """The battery that feeds this machine now. Raises SourceUnavailableError: none, or none that discharges."""
    supplies = system.glob("/sys/class/power_supply/*")
    batteries = [supply for supply in supplies if _feeds_this_machine(system, supply)]
    if not batteries:
        negotiated = [supply.name for supply in supplies if supply.name.startswith("ucsi-")]
        told = f" ({', '.join(negotiated)}: agreed with the charger, not measured)" if negotiated else ""
        raise SourceUnavailableError(f"no battery in /sys/class/power_supply{told}", "nothing to do without a battery")
    status = {battery: text_if_any(system, battery / "status") for battery in batteries}
    if "Charging" in status.values() or "Discharging" not in status.values():
        raise SourceUnavailableError(_not_discharging(status), "unplug the charger to measure at the battery")
    source = Battery(system, batteries)
    with suppress(ReadingError):  # one look that failed: the caller's next one may not
        source.read()
    return source


def _feeds_this_machine(system: System, supply: Path) -> bool:
    if supply.name.startswith("ucsi-") or text_if_any(system, supply / "type") != "Battery":
        return False
    return text_if_any(system, supply / "scope") != "Device"


def _not_discharging(status: dict[Path, str]) -> str:
    return ", ".join(f"{battery.name} is {said or 'of unknown status'}" for battery, said in status.items())

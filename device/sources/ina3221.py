"""A Jetson's own meter: the INA3221's rail VDD_IN, by the kernel's hwmon files.

Figures, traps and origins: Linux drivers/hwmon/ina3221.c. A rail is a channel with a label: in1..in3 are volts, curr1..curr3
amperes. in4..in6 are shunt voltages, in7 and curr4 sums that count VDD_IN twice: never read. VDD_IN is what goes into the
module; the carrier board and the supply's loss are not in it.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from device.errors import DeviceError, ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sources.jetson_filter import read_filter
from device.sources.sysfs import number_if_any, rail_names, read_number, supply_w, text_if_any, udev_remedy
from device.system import System

TOTAL = "VDD_IN"
_CHANNELS = (1, 2, 3)
# The same chips by three ways: the index of hwmon varies, and a copy of a machine's files may lack the links of the first two.
_PLACES = (
    "/sys/class/hwmon/hwmon*",
    "/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*",
    "/sys/devices/platform/*.i2c/i2c-*/*/hwmon/hwmon*",
    "/sys/devices/platform/*/*.i2c/i2c-*/*/hwmon/hwmon*",
)
_MAY_READ = udev_remedy(
    'SUBSYSTEM=="hwmon", ATTR{name}=="ina3221", RUN+="/bin/sh -c \'chmod a+r /sys%p/in?_* /sys%p/curr?_input\'"',
    "subsystem-match=hwmon",
)
_LONGEST_CYCLE_MS = 50  # three channels, volts and amperes of each, 8.244 ms at most


@dataclass(frozen=True)
class _Rail:
    name: str
    chip: Path
    channel: int

    def power_w(self, system: System) -> float:
        millivolts = read_number(system, self.chip / f"in{self.channel}_input", _MAY_READ)
        milliamperes = read_number(system, self.chip / f"curr{self.channel}_input", _MAY_READ)
        return supply_w(millivolts, milliamperes)

    def has_data(self, system: System) -> bool:
        try:
            self.power_w(system)
        except SourceUnavailableError:
            return False
        except ReadingError:
            return True
        return True


class Ina3221:
    """VDD_IN, and the other rails of the chips for information."""

    def __init__(self, system: System, total: _Rail, others: list[_Rail]) -> None:
        self._system, self._total, self._others = system, total, others
        shunt_uohm = number_if_any(system, total.chip / f"shunt{total.channel}_resistor")
        self.meter = Meter(
            source="ina3221-sysfs",
            rail=TOTAL,
            scope="module",
            kind="measured",
            shunt_ohm=shunt_uohm / 1e6 if shunt_uohm else None,
            filter=read_filter(system, total.chip),
        )

    def read(self) -> Reading:
        """Watts of VDD_IN, then of each other rail that answers."""
        power_w = self._total.power_w(self._system)
        if power_w <= 0:
            raise ReadingError(f"{TOTAL} says {power_w:g} W, which a running module cannot take")
        rails_w = {TOTAL: power_w}
        for rail in self._others:
            try:
                rails_w[rail.name] = rail.power_w(self._system)
            except DeviceError:
                continue  # a rail beside the total; disabled ones answer ENODATA
        return Reading(power_w=power_w, rails_w=rails_w)

    def close(self) -> None:
        """Nothing is held open."""


def open_ina3221(system: System) -> Ina3221:
    """The meter of VDD_IN. Raises SourceUnavailableError: no chip, no such rail, or files that may not be read."""
    chips = _chips(system)
    if not chips:
        raise SourceUnavailableError(
            "no INA3221 power monitor in /sys/class/hwmon", "load its driver as root\nmodprobe ina3221"
        )
    rails = [
        _Rail(name, chip, channel)
        for chip in chips
        for channel, name in rail_names(system, chip, "in{}_label", _CHANNELS, _MAY_READ)
    ]
    totals = [rail for rail in rails if rail.name == TOTAL]
    if not totals:
        names = ", ".join(rail.name for rail in rails if rail.has_data(system))
        raise SourceUnavailableError(
            f"the INA3221 has no rail {TOTAL}; its rails ({names or 'none'}) overlap, so their sum is no total",
            "put an external meter at the supply and name it: --meter PATH",
        )
    source = Ina3221(system, totals[0], [rail for rail in rails if rail is not totals[0]])
    with suppress(ReadingError):  # one look that failed: the caller's next one may not
        source.read()
    return source


def _chips(system: System) -> list[Path]:
    found = {
        place.resolve(): place
        for pattern in reversed(_PLACES)
        for place in system.glob(pattern)
        if text_if_any(system, place / "name") == "ina3221"
    }
    return sorted(found.values())

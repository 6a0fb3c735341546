"""A Jetson's own meter under JetPack 4: NVIDIA's driver of that time, ina3221x, with files of the iio interface.

`rail_name_N` names a channel, `in_powerN_input` has its milliwatts (as jetson-stats reads them). The rail that goes into the
module is VDD_IN (TX2, Xavier NX) or POM_5V_IN (Nano); an AGX Xavier has none, and its rails are parts that may hold each
other. How the chip averages is in no file.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from device.errors import DeviceError, ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sources.sysfs import rail_names, read_number, udev_remedy
from device.system import System

_TOTALS = ("VDD_IN", "POM_5V_IN")
_CHANNELS = (0, 1, 2)
DRIVER = "/sys/bus/i2c/drivers/ina3221x"
_OWN_METER = "put an external meter at the supply and name it: --meter PATH"
_MAY_READ = udev_remedy(
    'SUBSYSTEM=="iio", ATTR{name}=="ina3221x", RUN+="/bin/sh -c \'chmod a+r /sys%p/rail_name_? /sys%p/in_power?_input\'"',
    "subsystem-match=iio",
)


@dataclass(frozen=True)
class _Rail:
    name: str
    path: Path

    def power_w(self, system: System) -> float:
        return read_number(system, self.path, _MAY_READ) / 1e3


class Ina3221x:
    """The module's input, and the other rails of the chips for information."""

    def __init__(self, system: System, total: _Rail, others: list[_Rail]) -> None:
        self._system, self._total, self._others = system, total, others
        self.meter = Meter("ina3221x-iio", total.name, "module", "measured")

    def read(self) -> Reading:
        """Watts of the module's input, then of each other rail that answers."""
        power_w = self._total.power_w(self._system)
        if power_w <= 0:
            raise ReadingError(f"{self._total.name} says {power_w:g} W, which a running module cannot take")
        rails_w = {self._total.name: power_w}
        for rail in self._others:
            with suppress(DeviceError):  # a rail beside the total
                rails_w[rail.name] = rail.power_w(self._system)
        return Reading(power_w=power_w, rails_w=rails_w)

    def close(self) -> None:
        """Nothing is held open."""


def open_ina3221x(system: System) -> Ina3221x:
    """The meter of the module's input. Raises SourceUnavailableError: no chip, no such rail, or not for this user."""
    chips = system.glob(f"{DRIVER}/*/iio:device*")
    if not chips:
        raise SourceUnavailableError(f"no power monitor below {DRIVER}", _OWN_METER)
    rails = [
        _Rail(name, chip / f"in_power{channel}_input")
        for chip in chips
        for channel, name in rail_names(system, chip, "rail_name_{}", _CHANNELS, _MAY_READ)
    ]
    total = next((rail for name in _TOTALS for rail in rails if rail.name == name), None)
    if total is None:
        names = ", ".join(rail.name for rail in rails) or "none"
        raise SourceUnavailableError(
            f"the ina3221x has no rail {' or '.join(_TOTALS)}; its rails ({names}) overlap, so their sum is no total",
            _OWN_METER,
        )
    source = Ina3221x(system, total, [rail for rail in rails if rail is not total])
    with suppress(ReadingError):  # one look that failed: the caller's next one may not
        source.read()
    return source

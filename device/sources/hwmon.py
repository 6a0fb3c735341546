"""A meter at the supply that the user names by its hwmon folder: INA226, INA228, POWER-Z and their like.

Never taken by itself: an unknown chip may measure a motor. Units are those of the kernel's hwmon interface: microjoules,
microwatts, millivolts, milliamperes. The drivers take the shunt's resistance on trust (ina2xx: 10 mOhm unless told), so it is
shown with each figure.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter, Meter, Reading
from device.sources.counter import EnergyCounter
from device.sources.sysfs import number_if_any, read_number, supply_w, text_if_any, udev_remedy
from device.system import System

SOURCE = "hwmon"
_SHOW_NAMES = "see which meters there are\ngrep . /sys/class/hwmon/hwmon*/name"
# Which file holds the supply's volts; in0 of the INA chips is their shunt's.
_SUPPLY_VOLTS = {"powerz": 0}


@dataclass(frozen=True)
class _Files:
    """What a meter offers, best first: energy, then power, then volts and amperes."""

    energy: Path | None
    power: Path | None
    volts: Path | None
    amperes: Path | None

    def below(self, folder: str) -> str:
        """All of them, as arguments of a command."""
        named = (self.energy, self.power, self.volts, self.amperes)
        return " ".join(f"{folder}/{path.name}" for path in named if path)

    @property
    def rail(self) -> str:
        best = [self.energy or self.power] if self.energy or self.power else [self.volts, self.amperes]
        return " x ".join(path.name for path in best if path)


class Hwmon:
    """One channel of a meter at the supply."""

    def __init__(self, system: System, name: str, folder: Path, files: _Files) -> None:
        self._system, self._files, self._counter = system, files, EnergyCounter()
        self._if_forbidden = udev_remedy(
            f'SUBSYSTEM=="hwmon", ATTR{{name}}=="{name}", RUN+="/bin/chmod a+r {files.below("/sys%p")}"',
            "subsystem-match=hwmon",
        )
        shunt_uohm = number_if_any(system, folder / "shunt_resistor")
        interval_ms = number_if_any(system, folder / "update_interval") or 0
        self.meter = Meter(
            source=SOURCE,
            rail=f"{name} {files.rail}",
            scope="supply",
            kind="measured",
            shunt_ohm=shunt_uohm / 1e6 if shunt_uohm else None,
            filter=_filter(system, folder, interval_ms),
            period_s=max(0.1, interval_ms / 1e3),
        )

    def read(self) -> Reading:
        """Joules where the meter counts them, and watts where it has them."""
        energy_j = self._counter.energy_j(self._number(self._files.energy)) if self._files.energy else None
        power_w = self._power_w()
        if power_w is not None and power_w <= 0:
            raise ReadingError(
                f"{self.meter.rail} says {power_w:g} W: this board is not behind the meter, or its wires are swapped"
            )
        return Reading(power_w=power_w, energy_j=energy_j)

    def _power_w(self) -> float | None:
        if self._files.power:
            return self._number(self._files.power) / 1e6
        if self._files.volts and self._files.amperes:
            return supply_w(self._number(self._files.volts), self._number(self._files.amperes))
        return None

    def _number(self, path: Path) -> int:
        return read_number(self._system, path, self._if_forbidden)

    def close(self) -> None:
        """Nothing is held open."""


def open_hwmon(system: System, named: Path) -> Hwmon:
    """The meter in the folder `named`, or the channel whose file is named (`.../power2_input`): else channel 1.

    Raises:
        SourceUnavailableError: no such meter, one without power, or files that may not be read.
    """
    path = named.absolute() if named.absolute().is_relative_to(system.root) else system.path(str(named))
    channel = re.fullmatch(r"(?:energy|power|curr)(\d+)_(?:input|average)", path.name)
    folder = path.parent if channel else path
    name = text_if_any(system, folder / "name")
    if not name:
        raise SourceUnavailableError(f"{folder} is no hwmon meter", _SHOW_NAMES)
    files = _files(folder, name, int(channel[1]) if channel else 1)
    if not (files.energy or files.power or (files.volts and files.amperes)):
        raise SourceUnavailableError(
            f"{name} in {folder} has neither energy nor power nor volts with amperes", _SHOW_NAMES
        )
    if (number_if_any(system, folder / "shunt_resistor") or 0) < 0:
        raise SourceUnavailableError(
            f"{name} in {folder} was told a negative shunt",
            "as root, write the resistor's microohms into shunt_resistor",
        )
    source = Hwmon(system, name, folder, files)
    with suppress(ReadingError):  # one look that failed: the caller's next one may not
        source.read()
    return source


def _files(folder: Path, name: str, channel: int) -> _Files:
    def here(*names: str) -> Path | None:
        return next((folder / name for name in names if (folder / name).exists()), None)

    return _Files(
        energy=here(f"energy{channel}_input"),
        power=here(f"power{channel}_input", f"power{channel}_average"),
        volts=here(f"in{_SUPPLY_VOLTS.get(name, channel)}_input"),
        amperes=here(f"curr{channel}_input"),
    )


def _filter(system: System, folder: Path, interval_ms: int) -> Filter | None:
    """A figure of these chips is a mean over one interval."""
    if not interval_ms:
        return None
    samples = number_if_any(system, folder / "samples")
    return Filter(samples=samples, update_interval_s=interval_ms / 1e3, time_constant_s=interval_ms / 1e3)

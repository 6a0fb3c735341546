"""Temperatures and fans."""

from dataclasses import dataclass
from pathlib import Path

from device.errors import SourceUnavailableError
from device.system import System

_MOST_C = 200.0  # beyond it, on either side, a zone is offline (-256) or tells no temperature
_FAN_TURNS = ("fan1_input", "rpm", "rpm_measured")  # the kernel's own, then a Jetson's pwm_tach and JetPack 4


@dataclass(frozen=True)
class Fan:
    """One fan: turns a minute where it has a counter, and its drive from 0 to 255 where it is driven."""

    name: str
    rpm: int | None
    pwm: int | None


def read_temperatures(system: System) -> dict[str, float]:
    """Degrees Celsius by zone. Zones `cv*` are not read, since that blocks on a Jetson; those that are offline are left out."""
    temperatures_c: dict[str, float] = {}
    for path in system.glob("/sys/class/thermal/thermal_zone*/type"):
        try:
            zone = system.read(path)
            if zone.casefold().startswith("cv"):
                continue
            temperature_c = int(system.read(path.with_name("temp"))) / 1000
        except (OSError, ValueError, OverflowError):
            continue
        if abs(temperature_c) <= _MOST_C:
            temperatures_c[zone] = max(temperature_c, temperatures_c.get(zone, temperature_c))
    return temperatures_c


def read_firmware_temperature(system: System) -> dict[str, float]:
    """What a Raspberry Pi's firmware says of its chip, where the kernel shows no zone."""
    try:
        temperature_c = parse_measured_temperature(system.run(["vcgencmd", "measure_temp"]))
    except SourceUnavailableError:
        return {}
    return {} if temperature_c is None else {"firmware": temperature_c}


def parse_measured_temperature(text: str) -> float | None:
    """What `vcgencmd measure_temp` prints, `temp=48.8'C`; None where it is anything else."""
    value = text.strip().removeprefix("temp=").removesuffix("'C")
    try:
        return float(value) if text.strip() == f"temp={value}'C" else None
    except ValueError:
        return None


def read_fans(system: System) -> tuple[Fan, ...]:
    """All fans that hwmon knows."""
    fans = []
    for path in system.glob("/sys/class/hwmon/hwmon*/name"):
        turns = (_whole(system, path.with_name(name)) for name in _FAN_TURNS)
        rpm = next((found for found in turns if found is not None), None)
        pwm = _whole(system, path.with_name("pwm1"))
        if rpm is not None or pwm is not None:
            try:
                fans.append(Fan(system.read(path), rpm, pwm))
            except OSError:
                continue
    return tuple(fans)


def _whole(system: System, path: Path) -> int | None:
    try:
        return int(system.read(path))
    except (OSError, ValueError):
        return None

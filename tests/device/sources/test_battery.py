"""A battery tells what the machine takes only while nothing charges it."""

from pathlib import Path

import pytest

from device.errors import ReadingError, SourceUnavailableError
from device.sources.battery import open_battery
from device.system import System
from tests.device.machines import BATTERY, FORBIDDEN, Watched, write

BAT0, BAT1 = "sys/class/power_supply/BAT0", "sys/class/power_supply/BAT1"
SECOND = {name.replace("BAT0", "BAT1"): text for name, text in BATTERY.items()}


def test_power_now_comes_before_volts_times_amperes(tmp_path: Path) -> None:
    source = open_battery(System(write(tmp_path, BATTERY)))
    assert source.read().power_w == 7.35
    assert (source.meter.rail, source.meter.scope) == ("BAT0", "supply")
    source.close()


def test_a_current_may_have_either_sign(tmp_path: Path) -> None:
    write(tmp_path, BATTERY, {f"{BAT0}/current_now": -1_500_000})
    (tmp_path / BAT0 / "power_now").unlink()
    assert open_battery(System(tmp_path)).read().power_w == pytest.approx(10.5)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown", ""])
def test_only_while_discharging(tmp_path: Path, status: str) -> None:
    system = System(write(tmp_path, BATTERY))
    source = open_battery(system)
    write(tmp_path, {f"{BAT0}/status": status})
    with pytest.raises(ReadingError, match=f"BAT0 is {status or 'of unknown status'}"):
        source.read()
    with pytest.raises(SourceUnavailableError, match="unplug the charger"):
        open_battery(system)
    write(tmp_path, {f"{BAT0}/status": "Discharging"})
    assert source.read().power_w == 7.35


def test_two_batteries_are_one_supply(tmp_path: Path) -> None:
    system = System(write(tmp_path, BATTERY, SECOND))
    assert open_battery(system).read().power_w == pytest.approx(14.7)
    write(tmp_path, {f"{BAT1}/status": "Not charging"})
    assert open_battery(system).read().power_w == 7.35
    write(tmp_path, {f"{BAT1}/status": "Charging"})  # what flows into it comes from the other, or from a charger
    with pytest.raises(SourceUnavailableError, match="BAT0 is Discharging, BAT1 is Charging"):
        open_battery(system)


def test_supplies_that_are_no_battery_of_this_machine_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, {f"{BAT0}/scope": "Device"}, BATTERY)
    ucsi = {name.replace("BAT0", "ucsi-source-psy-1"): text for name, text in BATTERY.items()}
    write(tmp_path, ucsi)
    with pytest.raises(SourceUnavailableError, match=r"no battery .*ucsi-source-psy-1: agreed with the charger"):
        open_battery(System(tmp_path))


def test_nothing_is_no_reading_and_forbidden_brings_the_rule(tmp_path: Path) -> None:
    system = Watched(write(tmp_path, BATTERY, {f"{BAT0}/power_now": 0}))
    with pytest.raises(ReadingError, match="0 W while it discharges"):
        open_battery(system).read()
    system.faults = {"power_now": FORBIDDEN}
    with pytest.raises(SourceUnavailableError, match=r"may not read") as caught:
        open_battery(system)
    assert 'SUBSYSTEM=="power_supply", ATTR{type}=="Battery", RUN+=' in caught.value.remedy

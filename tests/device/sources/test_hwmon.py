"""An external meter: units, energy before power before volts times amperes, and nothing that the user did not name."""

from pathlib import Path

import pytest

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter
from device.sources.hwmon import open_hwmon
from device.system import System
from tests.device.machines import FORBIDDEN, INA226, TIMED_OUT, Files, Watched, write

NAMED = Path("/sys/class/hwmon/hwmon5")
FOLDER = "sys/class/hwmon/hwmon5"


def test_power_is_in_microwatts_and_the_shunt_is_told(tmp_path: Path) -> None:
    source = open_hwmon(System(write(tmp_path, INA226)), NAMED)
    assert source.read().power_w == 6.0
    assert source.read().energy_j is None
    assert (source.meter.rail, source.meter.scope) == ("ina226 power1_input", "supply")
    assert source.meter.shunt_ohm == 0.1
    assert source.meter.filter == Filter(samples=None, update_interval_s=0.5, time_constant_s=0.5)
    assert source.meter.period_s == 0.5


def test_an_energy_counter_comes_before_power(tmp_path: Path) -> None:
    source = open_hwmon(System(write(tmp_path, INA226, {f"{FOLDER}/energy1_input": 2_500_000})), NAMED)
    reading = source.read()
    assert (reading.energy_j, reading.power_w) == (2.5, 6.0)
    assert source.meter.rail == "ina226 energy1_input"


def test_volts_times_amperes_where_there_is_no_power(tmp_path: Path) -> None:
    write(tmp_path, INA226)
    (tmp_path / FOLDER / "power1_input").unlink()
    source = open_hwmon(System(tmp_path), NAMED)
    assert source.read().power_w == pytest.approx(5.0)
    assert source.meter.rail == "ina226 in1_input x curr1_input"


def test_a_power_z_has_its_supply_in_in0(tmp_path: Path) -> None:
    """Linux drivers/hwmon/powerz.c: in0 is VBUS, in1 the configuration line CC1."""
    files: Files = {"name": "powerz", "in0_input": 5100, "in1_input": 400, "curr1_input": 2000}
    write(tmp_path, {f"{FOLDER}/{name}": text for name, text in files.items()})
    assert open_hwmon(System(tmp_path), NAMED).read().power_w == pytest.approx(10.2)


def test_a_channel_can_be_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, INA226, {f"{FOLDER}/power2_average": 3_000_000})
    assert open_hwmon(System(tmp_path), NAMED / "power2_average").read().power_w == 3.0


def test_a_path_below_the_root_is_understood_as_well(tmp_path: Path) -> None:
    assert open_hwmon(System(write(tmp_path, INA226)), tmp_path / FOLDER).read().power_w == 6.0


def test_a_counter_that_was_reset_ends_the_source(tmp_path: Path) -> None:
    write(tmp_path, INA226, {f"{FOLDER}/energy1_input": 9_000_000})
    source = open_hwmon(System(tmp_path), NAMED)
    write(tmp_path, {f"{FOLDER}/energy1_input": 100})
    for _ in range(2):
        with pytest.raises(SourceUnavailableError, match="was reset while it was in use; begin the measurement anew"):
            source.read()
        write(tmp_path, {f"{FOLDER}/energy1_input": 9_500_000})


@pytest.mark.parametrize("microwatts", [0, -5_000_000])
def test_nothing_or_backwards_is_no_reading(tmp_path: Path, microwatts: int) -> None:
    source = open_hwmon(System(write(tmp_path, INA226, {f"{FOLDER}/power1_input": microwatts})), NAMED)
    with pytest.raises(ReadingError, match="this board is not behind the meter, or its wires are swapped"):
        source.read()


def test_faults_say_what_to_do(tmp_path: Path) -> None:
    system = Watched(write(tmp_path, INA226), {"power1_input": TIMED_OUT})
    with pytest.raises(ReadingError):
        open_hwmon(system, NAMED).read()
    system.faults = {"power1_input": FORBIDDEN}
    with pytest.raises(SourceUnavailableError) as caught:
        open_hwmon(system, NAMED)
    files = "/sys%p/power1_input /sys%p/in1_input /sys%p/curr1_input"
    assert caught.value.remedy.splitlines()[1:] == [
        f'SUBSYSTEM=="hwmon", ATTR{{name}}=="ina226", RUN+="/bin/chmod a+r {files}"',
        "udevadm control --reload && udevadm trigger --subsystem-match=hwmon",
    ]


@pytest.mark.parametrize(
    "named", ["/sys/class/hwmon/hwmon9", "/sys/class/power_supply/rpi-poe", "/sys/class/hwmon/hwmon1"]
)
def test_what_is_no_meter_is_refused(tmp_path: Path, named: str) -> None:
    """The third is a fan; the second, the PoE HAT, knows amperes but no volts, and is no hwmon device either."""
    write(tmp_path, {"sys/class/hwmon/hwmon1/name": "pwmfan", "sys/class/hwmon/hwmon1/fan1_input": 2000})
    write(tmp_path, {"sys/class/power_supply/rpi-poe/current_now": 1000, "sys/class/hwmon/hwmon1/curr1_input": 7})
    with pytest.raises(SourceUnavailableError, match=r"is no hwmon meter|neither energy nor power nor volts"):
        open_hwmon(System(tmp_path), Path(named))


def test_a_number_that_no_driver_writes_is_a_failed_look(tmp_path: Path) -> None:
    root = write(tmp_path, INA226, {f"sys/class/hwmon/hwmon5/{name}": "9" * 400 for name in ("power1_input",)})
    source = open_hwmon(System(root), Path("/sys/class/hwmon/hwmon5"))
    with pytest.raises(ReadingError, match="instead of a number"):
        source.read()


def test_two_negative_figures_are_no_power(tmp_path: Path) -> None:
    files = {name: each for name, each in INA226.items() if "power1" not in name}
    root = write(tmp_path, files, {f"{FOLDER}/in1_input": -5000, f"{FOLDER}/curr1_input": -1000})
    with pytest.raises(ReadingError, match="says -5000 mV"):
        open_hwmon(System(root), NAMED).read()


def test_what_no_board_draws_is_a_failed_look(tmp_path: Path) -> None:
    root = write(tmp_path, INA226, {f"{FOLDER}/power1_input": 10**12})
    with pytest.raises(ReadingError, match=r"1e\+06 W, which no machine draws"):
        open_hwmon(System(root), NAMED).read()


def test_a_negative_shunt_is_no_meter(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="was told a negative shunt; as root, write"):
        open_hwmon(System(write(tmp_path, INA226, {f"{FOLDER}/shunt_resistor": -5000})), NAMED)

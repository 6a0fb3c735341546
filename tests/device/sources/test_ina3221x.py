"""The module's input under JetPack 4, by files of the iio interface."""

from pathlib import Path

import pytest

from device.detect import board_kind, open_source
from device.errors import ReadingError, SourceUnavailableError
from device.sources.ina3221x import open_ina3221x
from device.system import System
from tests.device.machines import FORBIDDEN, GONE, TIMED_OUT, Files, Watched, write

CHIP = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
NANO: Files = {
    "sys/firmware/devicetree/base/model": "NVIDIA Jetson Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29689500, BOARD: t210ref",
    f"{CHIP}/name": "ina3221x",
    f"{CHIP}/rail_name_0": "POM_5V_IN",
    f"{CHIP}/in_power0_input": 2140,
    f"{CHIP}/in_voltage0_input": 5072,
    f"{CHIP}/in_current0_input": 422,
    f"{CHIP}/rail_name_1": "POM_5V_GPU",
    f"{CHIP}/in_power1_input": 80,
    f"{CHIP}/rail_name_2": "POM_5V_CPU",
    f"{CHIP}/in_power2_input": 485,
}


def nano(root: Path, changes: Files | None = None) -> Watched:
    return Watched(write(root, NANO, changes or {}))


def test_it_reads_milliwatts_of_the_rail_by_name(tmp_path: Path) -> None:
    source = open_ina3221x(nano(tmp_path))
    reading = source.read()
    assert reading.power_w == 2.14
    assert reading.rails_w == {"POM_5V_IN": 2.14, "POM_5V_GPU": 0.08, "POM_5V_CPU": 0.485}
    assert (source.meter.source, source.meter.rail) == ("ina3221x-iio", "POM_5V_IN")
    assert (source.meter.scope, source.meter.kind, source.meter.filter) == ("module", "measured", None)


def test_it_is_what_a_board_of_jetpack_4_is_measured_with(tmp_path: Path) -> None:
    system = nano(tmp_path)
    assert board_kind(system) == "jetson-jetpack4"
    found = open_source(system)
    assert found.selected is not None
    assert (found.selected.meter.source, found.unavailable) == ("ina3221x-iio", ())


def test_vdd_in_on_another_chip_behind_a_link(tmp_path: Path) -> None:
    """As on a TX2: the rail that goes into the module is on the second chip."""
    target = "sys/devices/3160000.i2c/i2c-0/0-0041/iio:device1"
    write(tmp_path, {f"{target}/rail_name_0": "VDD_IN", f"{target}/in_power0_input": 3800})
    system = nano(tmp_path, {f"{CHIP}/rail_name_0": "VDD_SYS_GPU", f"{CHIP}/rail_name_2": "NC"})
    (tmp_path / "sys/bus/i2c/drivers/ina3221x/0-0041").symlink_to(tmp_path / "sys/devices/3160000.i2c/i2c-0/0-0041")
    reading = open_ina3221x(system).read()
    assert reading.power_w == 3.8
    assert sorted(reading.rails_w) == ["POM_5V_GPU", "VDD_IN", "VDD_SYS_GPU"]


def test_without_such_a_rail_there_is_no_total(tmp_path: Path) -> None:
    system = nano(tmp_path, {f"{CHIP}/rail_name_0": "GPU"})
    with pytest.raises(
        SourceUnavailableError, match=r"no rail VDD_IN or POM_5V_IN; its rails \(GPU, POM_5V_GPU, POM_5V_CPU\)"
    ):
        open_ina3221x(system)
    (tmp_path / "empty/sys/bus/i2c/drivers/ina3221x").mkdir(parents=True)
    with pytest.raises(
        SourceUnavailableError, match="no power monitor below /sys/bus/i2c/drivers/ina3221x; put an external"
    ):
        open_ina3221x(System(tmp_path / "empty"))


@pytest.mark.parametrize("file", ["rail_name_0", "in_power0_input"])
def test_a_forbidden_file_brings_the_exact_rule(tmp_path: Path, file: str) -> None:
    system = nano(tmp_path)
    system.faults = {file: FORBIDDEN}
    with pytest.raises(SourceUnavailableError, match=f"this user may not read .*{file}") as caught:
        open_ina3221x(system)
    _, rule, command = caught.value.remedy.splitlines()
    assert rule == (
        'SUBSYSTEM=="iio", ATTR{name}=="ina3221x", '
        "RUN+=\"/bin/sh -c 'chmod a+r /sys%p/rail_name_? /sys%p/in_power?_input'\""
    )
    assert command == "udevadm control --reload && udevadm trigger --subsystem-match=iio"


def test_faults_of_the_total_and_of_rails_beside_it(tmp_path: Path) -> None:
    system = nano(tmp_path)
    source = open_ina3221x(system)
    system.faults = {"in_power1_input": TIMED_OUT, "rail_name_2": GONE}
    assert list(source.read().rails_w) == ["POM_5V_IN", "POM_5V_CPU"]
    system.faults = {"in_power0_input": TIMED_OUT}
    with pytest.raises(ReadingError, match="cannot be read now"):
        source.read()
    system.faults = {"in_power0_input": GONE}
    with pytest.raises(SourceUnavailableError, match="is not there"):
        source.read()
    source.close()


@pytest.mark.parametrize(("content", "says"), [("0", "0 W, which"), ("-8", "W, which"), ("", "''"), ("n/a", "'n/a'")])
def test_what_is_no_power_is_no_reading(tmp_path: Path, content: str, says: str) -> None:
    source = open_ina3221x(nano(tmp_path, {f"{CHIP}/in_power0_input": content}))
    with pytest.raises(ReadingError, match=says):
        source.read()

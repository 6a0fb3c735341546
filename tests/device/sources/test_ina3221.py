"""VDD_IN of a Jetson: the right rail, by name, and an error instead of a wrong figure."""

from pathlib import Path

import pytest

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter
from device.sources.ina3221 import open_ina3221
from device.system import System
from tests.device.machines import FORBIDDEN, GONE, JETSON, NO_DATA, TIMED_OUT, Files, Watched, write

CHIP = "sys/class/hwmon/hwmon3"


def jetson(root: Path, changes: Files | None = None) -> Watched:
    return Watched(write(root, JETSON, changes or {}))


def test_it_reads_millivolts_times_milliamperes_of_the_rail_by_name(tmp_path: Path) -> None:
    system = jetson(tmp_path)
    source = open_ina3221(system)
    reading = source.read()
    assert reading.power_w == pytest.approx(6.0)
    assert reading.energy_j is None
    assert reading.rails_w == pytest.approx({"VDD_IN": 6.0, "VDD_CPU_GPU_CV": 2.0, "VDD_SOC": 1.0})
    assert (source.meter.rail, source.meter.scope, source.meter.kind) == ("VDD_IN", "module", "measured")
    assert source.meter.shunt_ohm == 0.005
    assert not {"in4_input", "in5_input", "in6_input", "in7_input", "curr4_input"} & system.seen


def test_the_rail_is_found_on_any_channel_of_any_chip(tmp_path: Path) -> None:
    """As VDD_IN on the second channel of a second chip, which lies behind a link as in a real sysfs."""
    folder = "sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0041/hwmon/hwmon4"
    files: Files = {"name": "ina3221", "in2_label": "VDD_IN", "in2_input": 19_000, "curr2_input": 1000}
    write(tmp_path, {f"{folder}/{name}": text for name, text in files.items()})
    write(tmp_path, {f"{folder}/samples": 1, f"{folder}/update_interval": 7})
    system = jetson(tmp_path, {f"{CHIP}/in1_label": "VDD_OTHER"})
    (tmp_path / "sys/class/hwmon/hwmon4").symlink_to(tmp_path / folder)
    source = open_ina3221(system)
    assert source.read().power_w == pytest.approx(19.0)
    system.reads.clear()
    assert list(source.read().rails_w) == ["VDD_IN", "VDD_OTHER", "VDD_CPU_GPU_CV", "VDD_SOC"]
    assert len(system.reads) == len(set(system.reads)) == 8  # volts and amperes of each, whatever ways lead to the chip
    assert source.meter.filter == Filter(samples=1, update_interval_s=0.007, time_constant_s=0.007)


@pytest.mark.parametrize(
    ("samples", "interval_ms", "time_constant_s"),
    [
        (512, 430, 0.43),  # before Linux 5.14: the samples are counted
        (512, 1, 0.512),  # since: one cycle, and the file rounds 0.84 ms
        (64, 49, 3.136),  # either: the longer one
    ],
)
def test_the_time_constant_counts_the_samples_once(
    tmp_path: Path, samples: int, interval_ms: int, time_constant_s: float
) -> None:
    system = jetson(tmp_path, {f"{CHIP}/samples": samples, f"{CHIP}/update_interval": interval_ms})
    smoothing = open_ina3221(system).meter.filter
    assert smoothing == Filter(samples, interval_ms / 1000, time_constant_s)


def test_an_unknown_filter_is_not_made_up(tmp_path: Path) -> None:
    system = jetson(tmp_path)
    (tmp_path / CHIP / "samples").unlink()
    assert open_ina3221(system).meter.filter is None


def test_without_vdd_in_there_is_no_total_but_the_names_of_the_rails(tmp_path: Path) -> None:
    system = jetson(tmp_path, {f"{CHIP}/in1_label": "VDD_GPU_SOC", f"{CHIP}/in3_label": "NC"})
    with pytest.raises(SourceUnavailableError) as caught:
        open_ina3221(system)
    assert "no rail VDD_IN; its rails (VDD_GPU_SOC, VDD_CPU_GPU_CV) overlap" in caught.value.reason
    assert "--meter PATH" in caught.value.remedy
    system.faults = {"in2_input": NO_DATA, "curr1_input": TIMED_OUT}  # switched off; only late
    with pytest.raises(SourceUnavailableError, match=r"its rails \(VDD_GPU_SOC\) overlap"):
        open_ina3221(system)


def test_a_disabled_channel_is_skipped(tmp_path: Path) -> None:
    system = jetson(tmp_path)
    system.faults = {"in2_input": NO_DATA, "curr3_input": TIMED_OUT}
    reading = open_ina3221(system).read()
    assert reading.rails_w == pytest.approx({"VDD_IN": 6.0})
    system.faults = {"curr1_input": NO_DATA}
    with pytest.raises(SourceUnavailableError, match=r"curr1_input has no data: its channel is switched off; as root"):
        open_ina3221(system)


@pytest.mark.parametrize("file", ["in1_input", "curr1_input", "in1_label"])
def test_a_forbidden_file_brings_the_exact_rule(tmp_path: Path, file: str) -> None:
    system = jetson(tmp_path)
    system.faults = {file: FORBIDDEN}
    with pytest.raises(SourceUnavailableError, match=f"this user may not read .*{file}") as caught:
        open_ina3221(system)
    _, rule, command = caught.value.remedy.splitlines()
    assert rule == (
        'SUBSYSTEM=="hwmon", ATTR{name}=="ina3221", RUN+="/bin/sh -c \'chmod a+r /sys%p/in?_* /sys%p/curr?_input\'"'
    )
    assert command == "udevadm control --reload && udevadm trigger --subsystem-match=hwmon"


def test_a_late_conversion_is_one_failed_reading(tmp_path: Path) -> None:
    system = jetson(tmp_path)
    system.faults = {"in1_input": TIMED_OUT}
    source = open_ina3221(system)
    with pytest.raises(ReadingError, match="cannot be read now"):
        source.read()
    system.faults = {}
    assert source.read().power_w == pytest.approx(6.0)


def test_a_chip_that_vanishes_is_no_longer_available(tmp_path: Path) -> None:
    system = jetson(tmp_path)
    source = open_ina3221(system)
    (tmp_path / CHIP / "curr1_input").unlink()
    with pytest.raises(SourceUnavailableError, match="is not there"):
        source.read()
    system.faults = {"in1_input": GONE}
    with pytest.raises(SourceUnavailableError, match="is not there"):
        source.read()
    source.close()


@pytest.mark.parametrize(("content", "says"), [("0", "0 W, which"), ("-8", "W, which"), ("", "''"), ("n/a", "'n/a'")])
def test_what_is_no_power_is_no_reading(tmp_path: Path, content: str, says: str) -> None:
    source = open_ina3221(jetson(tmp_path, {f"{CHIP}/curr1_input": content}))
    with pytest.raises(ReadingError, match=says):
        source.read()


def test_other_chips_are_not_taken_for_it(tmp_path: Path) -> None:
    write(tmp_path, {"sys/class/hwmon/hwmon5/name": "ina226", "sys/class/hwmon/hwmon5/in1_label": "VDD_IN"})
    with pytest.raises(SourceUnavailableError, match="no INA3221 power monitor"):
        open_ina3221(System(tmp_path))

"""Counters of energy: wrapped, reset, forbidden; and the packages of a processor, each once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ReadingError, SourceUnavailableError
from device.sources.counter import EnergyCounter
from device.sources.rapl import open_rapl
from device.system import System
from tests.device.machines import FORBIDDEN, RAPL, TIMED_OUT, Watched, write

PACKAGE = "sys/class/powercap/intel-rapl:0"


@given(st.integers(4, 10**12), st.data())
def test_a_counter_adds_up_whatever_its_range(range_uj: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, range_uj - 1))
    steps = data.draw(st.lists(st.integers(0, range_uj // 2), max_size=20))
    counter, counted = EnergyCounter(range_uj), start
    first_j = last_j = counter.energy_j(counted)
    for step in steps:
        counted = (counted + step) % range_uj
        now_j = counter.energy_j(counted)
        assert now_j >= last_j
        last_j = now_j
    assert last_j - first_j == pytest.approx(sum(steps) / 1e6, abs=1e-6)


def test_a_reset_is_not_taken_for_a_wrap() -> None:
    counter = EnergyCounter(10_000_000)
    counter.energy_j(7_000_000)
    with pytest.raises(SourceUnavailableError, match="reset"):
        counter.energy_j(2_500_000)  # by wrapping it would have grown by 5.5 J of 10
    with pytest.raises(SourceUnavailableError, match="reset"):
        counter.energy_j(9_000_000)  # what was used meanwhile is lost for good


def test_only_packages_count_and_the_range_is_the_files(tmp_path: Path) -> None:
    write(tmp_path, RAPL, {f"{PACKAGE}/energy_uj": 9_000_000})
    source = open_rapl(System(tmp_path))
    assert (source.meter.rail, source.meter.scope) == ("package-0", "cpu-package")
    before = source.read()
    assert (before.energy_j, before.power_w) == (9.0, None)
    write(tmp_path, {f"{PACKAGE}/energy_uj": 1_500_000, f"{PACKAGE}:0/energy_uj": 400_000})
    assert source.read().energy_j == pytest.approx(11.5)
    write(tmp_path, {f"{PACKAGE}/energy_uj": 1_400_000})
    with pytest.raises(SourceUnavailableError, match="reset"):
        source.read()
    source.close()


def test_two_packages_are_one_total_and_a_second_view_of_one_is_not_added(tmp_path: Path) -> None:
    second = {name.replace("intel-rapl:0/", "intel-rapl:1/"): text for name, text in RAPL.items() if "0:0" not in name}
    twice = {name.replace("intel-rapl:0/", "intel-rapl-mmio:0/"): text for name, text in RAPL.items()}
    write(tmp_path, RAPL, second, {"sys/class/powercap/intel-rapl:1/name": "package-1"}, twice)
    source = open_rapl(System(tmp_path))
    assert source.meter.rail == "package-0 + package-1"
    assert source.read().energy_j == pytest.approx(2.0)


def test_a_forbidden_counter_brings_the_exact_rule(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match=r"this user may not read .*energy_uj") as caught:
        open_rapl(Watched(write(tmp_path, RAPL), {"energy_uj": FORBIDDEN}))
    sentence, rule, command = caught.value.remedy.splitlines()
    assert sentence.startswith("with a user of the group adm: as root, write this line into /etc/udev/rules.d/")
    assert rule == (
        'SUBSYSTEM=="powercap", KERNEL=="intel-rapl:*", RUN+="/bin/chgrp adm /sys%p/energy_uj", '
        'RUN+="/bin/chmod g+r /sys%p/energy_uj"'
    )
    assert command == "udevadm control --reload && udevadm trigger --subsystem-match=powercap"


def test_one_failed_look_is_not_the_end(tmp_path: Path) -> None:
    system = Watched(write(tmp_path, RAPL), {"energy_uj": TIMED_OUT})
    source = open_rapl(system)
    with pytest.raises(ReadingError):
        source.read()
    system.faults = {}
    assert source.read().energy_j == 1.0


def test_a_counter_that_stands_still_at_nothing_is_no_meter(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="stands at 0"):
        open_rapl(System(write(tmp_path, RAPL, {f"{PACKAGE}/energy_uj": 0})))
    with pytest.raises(SourceUnavailableError, match="no package counter"):
        open_rapl(System(tmp_path / "elsewhere"))

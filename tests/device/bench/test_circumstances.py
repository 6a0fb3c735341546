"""What happened to the board meanwhile: temperatures, clocks, alarms, throttling, other processes."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from device.bench.circumstances import Circumstances, Look, look, read_versions
from device.board import look_at_board
from device.clocks import CpuClock
from device.other_processes import Others
from device.system import System
from device.throttling import ThrottleFlags, Throttling
from tests.device.machines import JETSON, write

NOTHING = Throttling(None, None, None)
IDLE = Others(0.0, {})


def seen(root: Path, *throttling: Throttling, before: Throttling = NOTHING) -> Circumstances:
    board = replace(look_at_board(System(write(root, JETSON))), throttling=before)
    looks = tuple(Look(float(number), {}, (), (), state) for number, state in enumerate(throttling))
    return Circumstances(board, looks, IDLE)


def test_temperatures_are_the_highest_and_clocks_the_lowest(tmp_path: Path) -> None:
    board = replace(look_at_board(System(tmp_path)), temperatures_c={"cpu": 50.0})
    looks = tuple(
        Look(0.0, {"cpu": celsius, "gpu": 40.0}, (CpuClock("policy0", None, mhz, None, None),), (), NOTHING)
        for celsius, mhz in ((61.0, 1728.0), (58.0, 1190.0))
    )
    found = Circumstances(board, looks, IDLE)
    assert found.highest_c == {"cpu": 61.0, "gpu": 40.0}
    assert found.lowest_mhz == {"policy0": 1190.0}
    assert found.throttle_events == ()
    assert found.over_current_deltas is None


def test_a_look_sees_what_changes(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        JETSON,
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": 48_500,
            "sys/class/hwmon/hwmon1/name": "soctherm_oc",
            "sys/class/hwmon/hwmon1/oc1_event_cnt": 3,
        },
    )
    found = look(System(root), "NVIDIA Jetson")
    assert found.temperatures_c == {"cpu-thermal": 48.5}
    assert found.throttling.over_current_events == {"oc1_event_cnt": 3}


def test_only_the_growth_of_a_counter_is_an_event(tmp_path: Path) -> None:
    before = Throttling(None, {"oc1_event_cnt": 7, "oc2_event_cnt": 1}, None)
    same = seen(tmp_path, before, before=before)
    assert same.over_current_deltas == {"oc1_event_cnt": 0, "oc2_event_cnt": 0}
    assert same.throttle_events == ()
    grown = seen(tmp_path, Throttling(None, {"oc1_event_cnt": 9, "oc2_event_cnt": 1}, None), before=before)
    assert grown.throttle_events == ("oc1_event_cnt: 2 events",)


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (ThrottleFlags((), ("throttled",)), ThrottleFlags((), ("throttled",)), ()),  # of before this run
        (ThrottleFlags((), ()), ThrottleFlags((), ("throttled",)), ("throttled was set",)),
        (ThrottleFlags((), ("throttled",)), ThrottleFlags(("throttled",), ("throttled",)), ("throttled was set",)),
        (ThrottleFlags(("under_voltage",), ()), ThrottleFlags((), ()), ("under_voltage was set",)),
    ],
)
def test_a_raspberry_pis_flags(
    tmp_path: Path, before: ThrottleFlags, after: ThrottleFlags, events: tuple[str, ...]
) -> None:
    found = seen(tmp_path, Throttling(after, None, None), before=Throttling(before, None, False))
    assert found.throttle_events == events


def test_a_supply_that_is_too_weak_is_an_event(tmp_path: Path) -> None:
    found = seen(tmp_path, Throttling(None, None, True), NOTHING)
    assert found.throttle_events == ("the supply's voltage was too low",)


def test_versions_are_those_of_this_installation() -> None:
    found = read_versions()
    assert found.llama_cpp.split()[0].count(".") == 2
    assert found.python == ".".join(map(str, sys.version_info[:3]))

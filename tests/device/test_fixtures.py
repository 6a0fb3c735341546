"""Every machine whose power was worked out beforehand: EXPECTED.json holds figures of an independent parser."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.detect import Look, open_source, survey
from device.sources.ina3221 import open_ina3221
from device.system import System
from tests.device.machines import Watched

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set"),
]

POWER = Path(os.environ.get("BEDSIDE_DATA", "")).parent / "fixtures" / "power"
METER = Path("/sys/class/hwmon/hwmon5")
Wanted = dict[str, Any]


def looks(root: Path, meter: Path | None = None) -> list[Look]:
    return list(survey(System(root), meter).looks)


def only_power_w(root: Path, source: str, meter: Path | None = None) -> float | None:
    """The one meter there has to be, and what it says."""
    (look,) = looks(root, meter)
    assert look.meter.source == source
    assert look.reading is not None
    return look.reading.power_w


def grown_j(before: Path, after: Path, folder: Path, meter: Path | None = None) -> float:
    """What one open counter counts while the files of one moment become those of the next."""
    shutil.copytree(before, folder)
    source = open_source(System(folder), meter).selected
    assert source is not None
    first_j = source.read().energy_j
    shutil.copytree(after, folder, dirs_exist_ok=True)
    second_j = source.read().energy_j
    assert first_j is not None
    assert second_j is not None
    return second_j - first_j


def check_orin_nano(name: str, wanted: Wanted, _: Path) -> None:
    system = Watched(POWER / name)
    source = open_ina3221(system)
    reading = source.read()
    assert reading.power_w == pytest.approx(wanted["mW"] / 1e3, rel=1e-12)
    expected_w = {rail: rail_mw / 1e3 for rail, rail_mw in wanted["rails_mW"].items()}
    assert dict(reading.rails_w) == pytest.approx(expected_w, rel=1e-12)
    assert not system.seen & set(wanted["not_a_rail"])
    assert (source.meter.source, source.meter.rail) == (wanted["source"], wanted["rail"])
    assert source.meter.scope == wanted["scope"].split()[0] == "module"
    assert source.meter.filter is not None
    assert source.meter.filter.samples == wanted["samples"]
    assert source.meter.filter.update_interval_s == wanted["update_interval_ms"] / 1e3
    assert source.meter.filter.time_constant_s == pytest.approx(0.43)


def check_agx_orin(name: str, wanted: Wanted, _: Path) -> None:
    assert wanted["total"] is None
    faults = json.loads((POWER / name / "errors.json").read_text("utf-8"))
    system = Watched(POWER / name, {path.removeprefix(f"{name}/"): number for path, number in faults.items()})
    found = survey(system)
    assert found.looks == ()
    (missing,) = (missing for missing in found.unavailable if missing.source == "ina3221-sysfs")
    assert "(VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0, VDDQ_VDD2_1V8AO)" in missing.reason


def check_ina226(name: str, wanted: Wanted, _: Path) -> None:
    assert only_power_w(POWER / name, "hwmon", METER) == wanted["W"]
    (look,) = looks(POWER / name, METER)
    assert look.meter.shunt_ohm == wanted["shunt_uohm"] / 1e6
    assert looks(POWER / name) == []  # nobody named it


def check_ina226_by_volts_and_amperes(wanted: Wanted, folder: Path) -> None:
    shutil.copytree(POWER / "generic/ina226", folder)
    (folder / METER.relative_to("/") / "power1_input").unlink()
    power_w = only_power_w(folder, "hwmon", METER)
    assert power_w == pytest.approx(wanted["check_V_times_I_W"], rel=1e-12)
    assert power_w == pytest.approx(wanted["W"], abs=wanted["tolerance_W"])


def check_ina228(name: str, wanted: Wanted, folder: Path) -> None:
    counted_j = grown_j(POWER / f"{name}_t0", POWER / f"{name}_t1", folder / "tree", METER)
    assert counted_j == pytest.approx(wanted["t1_minus_t0_J"], rel=1e-9)


def check_rapl(name: str, wanted: Wanted, folder: Path) -> None:
    counted_j = grown_j(POWER / f"{name}_t0", POWER / f"{name}_t1_wrapped", folder / "tree")
    assert counted_j == pytest.approx(wanted["t1_minus_t0_J"], rel=1e-9)


def check_battery(name: str, wanted: Wanted, _: Path) -> None:
    if wanted["W"] is None:
        assert looks(POWER / name) == []
    else:
        assert only_power_w(POWER / name, "battery") == pytest.approx(wanted["W"], rel=1e-12)


def check_ina226_both_ways(name: str, wanted: Wanted, folder: Path) -> None:
    check_ina226(name, wanted, folder)
    check_ina226_by_volts_and_amperes(wanted, folder / "tree")


def check_pi5(name: str, wanted: Wanted, _: Path) -> None:
    """Its hwmon devices carry no current: neither by itself nor by name does one become a meter."""
    assert wanted["board_power"] is None
    assert looks(POWER / name) == []
    for number in range(5):
        assert looks(POWER / name, Path(f"/sys/class/hwmon/hwmon{number}")) == []


CHECKS: dict[str, Callable[[str, Wanted, Path], None]] = {
    "generic/battery_charging": check_battery,
    "generic/battery_current_now": check_battery,
    "generic/battery_power_now": check_battery,
    "generic/ina226": check_ina226_both_ways,
    "generic/ina228": check_ina228,
    "generic/rapl": check_rapl,
    "generic/ucsi": check_battery,
    "jetson/agx_orin_no_vdd_in": check_agx_orin,
    "jetson/orin_nano_idle": check_orin_nano,
    "jetson/orin_nano_load": check_orin_nano,
    "pi5/sysfs": check_pi5,
}


def expected() -> dict[str, Wanted]:
    loaded: dict[str, Wanted] = json.loads((POWER / "EXPECTED.json").read_text("utf-8"))
    return loaded


@pytest.mark.parametrize("name", CHECKS)
def test_a_machine_says_what_was_worked_out(name: str, tmp_path: Path) -> None:
    CHECKS[name](name, expected()[name], tmp_path)


def test_no_machine_is_left_out() -> None:
    folders = {name for name in expected() if not name.endswith((".txt", ".csv", ".json", ".conf"))}
    assert folders == set(CHECKS)

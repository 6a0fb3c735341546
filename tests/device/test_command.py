"""`bedside device`: one object for programs, lines of 80 columns for people, files below DIR only."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device.board import look_at_board
from device.command import show_board
from device.detect import Look, Survey, Unavailable
from device.reading import Meter, Reading
from device.sources.pmic_text import estimate_meter, estimate_reading, pmic_meter
from device.sources.sysfs import udev_remedy
from device.system import System
from device.throttling import ThrottleFlags, Throttling
from device.views import print_survey, survey_facts
from tests.device.machines import INA226, JETSON, RAPL, Files, write

MISSING = [
    {
        "source": "battery",
        "reason": "no battery in /sys/class/power_supply",
        "remedy": "nothing to do without a battery",
    },
    {
        "source": "rapl",
        "reason": "no package counter in /sys/class/powercap",
        "remedy": "on an x86 machine that is not virtual, load it as root\nmodprobe intel_rapl_msr",
    },
]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def facts(capsys: pytest.CaptureFixture[str], root: Path, meter: Path | None = None) -> dict[str, Any]:
    show_board(as_json=True, sysroot=root, meter=meter)
    loaded: dict[str, Any] = json.loads(capsys.readouterr().out)
    return loaded


def shown(capsys: pytest.CaptureFixture[str], root: Path, meter: Path | None = None) -> str:
    show_board(sysroot=root, meter=meter)
    return capsys.readouterr().out


def test_a_jetson_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, write(tmp_path, JETSON))
    board, unavailable = found.pop("board"), found.pop("unavailable")
    assert board.pop("bandwidth") is None
    assert board == json.loads(json.dumps(look_at_board(System(tmp_path)).to_json()))
    assert board["model"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert [missing["source"] for missing in unavailable] == ["tegrastats", "battery", "rapl", "nvml"]
    assert unavailable[1:3] == MISSING
    assert found == {
        "selected": "ina3221-sysfs",
        "sources": [
            {
                "source": "ina3221-sysfs",
                "rail": "VDD_IN",
                "power_w": 6.0,
                "energy_j": None,
                "rails_w": {"VDD_IN": 6.0, "VDD_CPU_GPU_CV": 2.0, "VDD_SOC": 1.0},
                "scope": "module",
                "kind": "measured",
                "correction": None,
                "shunt_ohm": 0.005,
                "filter": {"samples": 512, "update_interval_s": 0.43, "time_constant_s": 0.43},
                "calibrated": None,
            }
        ],
    }


def test_nothing_measured_is_null_and_never_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, tmp_path)
    assert (found["board"]["model"], found["selected"], found["sources"]) == (None, None, [])
    assert found["unavailable"][:2] == MISSING
    text = shown(capsys, tmp_path)
    assert "Power     not measured: no meter that can be used" in text
    assert "0.00 W" not in text


def test_a_failed_look_is_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path, JETSON, {"sys/class/hwmon/hwmon3/curr1_input": 0})
    found = facts(capsys, root)
    assert (found["selected"], found["sources"][0]["power_w"]) == ("ina3221-sysfs", None)
    assert found["unavailable"][0]["source"] == "ina3221-sysfs"
    assert "Power     no reading: VDD_IN by ina3221-sysfs" in shown(capsys, root)


def test_people_see_what_the_figure_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, write(tmp_path, JETSON, INA226, RAPL), Path("/sys/class/hwmon/hwmon5"))
    flowing = " ".join(text.split())
    assert "Board NVIDIA Jetson Orin Nano Developer Kit Power 6.00 W: ina226 power1_input by hwmon, measured" in flowing
    assert "shunt: 100 mOhm as the driver was told; if the resistor's marking differs, every figure is wrong" in flowing
    assert "ina3221-sysfs 6.00 W: VDD_IN by ina3221-sysfs, measured - the module, without the carrier board" in flowing
    assert "smoothed by the sensor over about 0.43 s (512 samples)" in flowing
    assert "other rails, not to be added: VDD_CPU_GPU_CV 2.00 W, VDD_SOC 1.00 W" in flowing
    assert "rapl counter at 1.0 J: package-0 by rapl, measured - the processor's package only" in flowing
    assert "battery no battery in /sys/class/power_supply" in flowing[flowing.index("Not available") :]
    assert max(map(len, text.splitlines())) <= 80


STATE: Files = {
    "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq": 729600,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": 1267200,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": 1728000,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpufreq/policy2/scaling_min_freq": 729600,
    "sys/devices/system/cpu/cpufreq/policy2/scaling_cur_freq": 1500000,
    "sys/devices/system/cpu/cpufreq/policy2/scaling_max_freq": 1728000,
    "sys/devices/system/cpu/cpufreq/policy2/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpufreq/policy4/related_cpus": "4 5",
    "sys/class/hwmon/hwmon0/pwm1": 102,
    "sys/class/hwmon/hwmon1/name": "soctherm_oc",
    "sys/class/hwmon/hwmon1/oc1_event_cnt": 0,
    "sys/class/hwmon/hwmon1/oc3_event_cnt": 7,
    "sys/class/hwmon/hwmon2/name": "rpi_volt",
    "sys/class/hwmon/hwmon2/in0_lcrit_alarm": 1,
}


def test_people_see_what_state_the_board_is_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flowing = " ".join(shown(capsys, write(tmp_path, JETSON, STATE)).split())
    assert (
        "fan driven at 40% cores at 1267 to 1500 MHz (limits 730 to 1728, schedutil), cores at unknown MHz (limits unknown)"
        in flowing
    )
    assert "over-current events since boot: oc3 7 supply voltage now: too low" in flowing
    assert "throttling" not in flowing  # nobody said
    write(tmp_path, {"sys/class/hwmon/hwmon1/oc3_event_cnt": 0, "sys/class/hwmon/hwmon2/in0_lcrit_alarm": 0})
    flowing = " ".join(shown(capsys, tmp_path).split())
    assert "over-current events since boot: none supply voltage now: not too low" in flowing


def test_people_see_a_pis_estimate_beside_its_rails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rails = pmic_meter("pmic-ioctl")
    looks = (
        Look(rails, Reading(2.0, rails_w={"VDD_CORE": 1.2})),
        Look(estimate_meter(rails), estimate_reading(2.0), is_derived=True),
        Look(Meter("nvml", "a card", "gpu", "measured"), Reading(5.0)),
    )
    flags = ThrottleFlags(("throttled",), ("under_voltage", "throttled"))
    board = replace(look_at_board(System(tmp_path)), throttling=Throttling(flags, None, None))
    print_survey(Survey(board, looks, ()))
    flowing = " ".join(capsys.readouterr().out.split())
    assert "throttling now: throttled; since boot: under_voltage throttled" in flowing
    power, others = flowing.split("Other meters")
    assert "Power 2.00 W: sum of PMIC rails by pmic-ioctl, measured - the rails that the power chip measures" in power
    assert "Estimate 2.88 W: board estimate by pmic-ioctl, estimated - all that the supply feeds" in power
    assert "one person, one board, one USB-C meter; error not known" in power
    assert "nvml 5.00 W" in others
    facts_ = survey_facts(Survey(board, looks, ()))
    assert facts_["selected"] == "pmic-ioctl"
    told = [(source["rail"], source["power_w"], source["scope"], source["kind"]) for source in facts_["sources"]]
    assert told[:2] == [
        ("sum of PMIC rails", 2.0, "pmic-rails", "measured"),
        ("board estimate", pytest.approx(2.8781), "supply", "estimated"),
    ]


def test_what_is_to_be_copied_has_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, tmp_path, Path("/sys/class/hwmon/hwmon5"))
    text = shown(capsys, tmp_path, Path("/sys/class/hwmon/hwmon5"))
    commands = [line for missing in found["unavailable"] for line in missing["remedy"].splitlines()[1:]]
    assert commands == ["grep . /sys/class/hwmon/hwmon*/name", "modprobe intel_rapl_msr"]
    assert set(commands) < set(map(str.strip, text.splitlines()))


def test_a_rule_is_not_broken_by_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remedy = udev_remedy('SUBSYSTEM=="hwmon", ' + "x" * 200, "subsystem-match=hwmon")
    print_survey(
        Survey(look_at_board(System(tmp_path)), (), (Unavailable("hwmon", "this user may not read it", remedy),))
    )
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert set(remedy.splitlines()[1:]) < set(lines)
    assert [line for line in lines if len(line) > 80] == [remedy.splitlines()[1]]


def test_the_front_door_opens_it(tmp_path: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-W", "error", "-m", "assistant", "device", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = run("--json", "--sysroot", str(write(tmp_path, JETSON)))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sources"][0]["power_w"] == 6.0
    wrong = run("--sysroot", str(tmp_path / "nowhere"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "does not exist" in wrong.stderr


def test_a_name_of_ten_letters_does_not_run_into_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, write(tmp_path, JETSON)).splitlines()
    place = lines.index("tegrastats")
    assert lines[place + 1].startswith(" " * 10 + "tegrastats is not run for")

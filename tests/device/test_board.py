"""What board this is: trees of files as boards have them, and the firmware's and nvpmodel's texts."""

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from device.board import look_at_board
from device.clocks import CpuClock
from device.errors import SourceUnavailableError
from device.power_mode import PowerMode, parse_modes, parse_query, read_power_mode
from device.system import System
from device.thermals import Fan, parse_measured_temperature, read_temperatures
from device.throttling import FLAGS, parse_throttled, read_throttling
from tests.device.fixtures import POWER, expected, names, shared

MODEL = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"
JETSON = {
    "sys/firmware/devicetree/base/model": f"{MODEL}\0",
    "sys/firmware/devicetree/base/serial-number": "1420000000001\0",
    "proc/device-tree/serial-number": "1420000000001\0",
    "proc/cpuinfo": "Serial : 1420000000001\n",
    "proc/meminfo": "MemTotal:        7802880 kB\nMemFree:          100 kB\n",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nX Y 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=0 >\n",
    "var/lib/nvpmodel/status": "pmode:0002",
    f"{CPUFREQ}/scaling_min_freq": "729600\n",
    f"{CPUFREQ}/scaling_cur_freq": "1267200\n",
    f"{CPUFREQ}/scaling_max_freq": "1728000\n",
    f"{CPUFREQ}/scaling_governor": "schedutil\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "47687\n",
    "sys/class/thermal/thermal_zone1/type": "soc0-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "-256000\n",
    "sys/class/thermal/thermal_zone7/type": "absurd",
    "sys/class/thermal/thermal_zone7/temp": "9" * 400,
    "sys/class/thermal/thermal_zone8/type": "hotter than solder",
    "sys/class/thermal/thermal_zone8/temp": "200001\n",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone2/temp": "1000\n",
    "sys/class/thermal/thermal_zone3/type": "tj-thermal\n",
    "sys/class/hwmon/hwmon0/name": "pwmfan\n",
    "sys/class/hwmon/hwmon0/pwm1": "88\n",
    "sys/class/hwmon/hwmon2/name": "soctherm_oc\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon2/oc3_event_cnt": "7\n",
    "sys/class/hwmon/hwmon3/name": "other\n",
    "sys/class/hwmon/hwmon3/oc2_event_cnt": "9\n",
    "sys/class/hwmon/hwmon3/in0_lcrit_alarm": "1\n",
    "usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1": "",
}


def tree(root: Path, files: dict[str, str]) -> System:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return System(root)


def test_a_jetson(tmp_path: Path) -> None:
    board = look_at_board(tree(tmp_path, JETSON))
    assert (board.model, board.l4t, board.memory_bytes) == (MODEL, "36.4.3", 7802880 * 1024)
    assert board.cuda
    assert board.power_mode == PowerMode(2, "MAXN_SUPER")
    assert board.cpu_clocks == (CpuClock("policy0", 729.6, 1267.2, 1728.0, "schedutil"),)
    assert board.temperatures_c == {"cpu-thermal": 47.687}
    assert board.fans == (Fan("pwmfan", None, 88),)
    assert board.throttling.over_current_events == {"oc1_event_cnt": 0, "oc3_event_cnt": 7}
    assert board.throttling.flags is None
    assert board.throttling.supply_too_low is None


def test_a_look_can_be_written_as_json(tmp_path: Path) -> None:
    told = json.loads(json.dumps(look_at_board(tree(tmp_path, JETSON)).to_json()))
    assert told["model"] == MODEL
    assert told["power_mode"] == {"id": 2, "name": "MAXN_SUPER"}
    assert told["throttling"]["over_current_events"]["oc3_event_cnt"] == 7
    assert "14200000" not in json.dumps(told)


OPENED: list[str] | None = None


def note_opening(event: str, arguments: Any) -> None:
    if OPENED is not None and event == "open":
        OPENED.append(str(arguments[0]))


def test_no_serial_number_is_read(tmp_path: Path) -> None:
    """Every file that Python opens is noted; an audit hook stays for ever, but notes only here."""
    global OPENED  # noqa: PLW0603
    system = tree(tmp_path, JETSON)
    sys.addaudithook(note_opening)
    OPENED = []
    try:
        look_at_board(system)
        (tmp_path / "sys/firmware/devicetree/base/model").unlink()
        assert look_at_board(system).model is None
        opened = [path.removeprefix(str(tmp_path)) for path in OPENED if path.startswith(str(tmp_path))]
        (tmp_path / "sys/firmware/devicetree/base/serial-number").read_bytes()
        assert OPENED[-1].endswith("serial-number"), "the hook does not see what is opened"
    finally:
        OPENED = None
    assert any(path.endswith("/model") for path in opened)
    assert [path for path in opened if "serial" in path or path.endswith("cpuinfo")] == []


def test_a_zone_that_may_block_is_not_read(tmp_path: Path) -> None:
    looked_at_in_full = list[str]()

    class Watched(System):
        def read(self, path: Path) -> str:
            looked_at_in_full.append(path.as_posix())
            return super().read(path)

    tree(tmp_path, JETSON)
    assert read_temperatures(Watched(tmp_path)) == {"cpu-thermal": 47.687}
    looked_at = [path.removeprefix(f"{tmp_path}/sys/class/thermal/") for path in looked_at_in_full]
    assert "thermal_zone0/temp" in looked_at
    assert "thermal_zone2/type" in looked_at
    assert "thermal_zone2/temp" not in looked_at


def test_nothing_is_known_of_an_empty_tree(tmp_path: Path) -> None:
    board = look_at_board(System(tmp_path))
    told = board.to_json()
    throttling = told.pop("throttling")
    assert throttling == {"flags": None, "over_current_events": None, "supply_too_low": None}
    assert told == {
        "model": None, "l4t": None, "memory_bytes": None, "cuda": None, "power_mode": None, "cpu_clocks": (),
        "temperatures_c": {}, "fans": (),
    }  # fmt: skip


def test_damaged_files_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    damaged = {name: "garbage\n" for name in JETSON if not name.endswith(("/type", "/name"))}
    board = look_at_board(tree(tmp_path, {**JETSON, **damaged}))
    assert board.memory_bytes is None
    assert board.power_mode is None
    assert board.temperatures_c == {}
    assert board.fans == ()
    assert board.cpu_clocks == (CpuClock("policy0", None, None, None, "garbage"),)
    assert board.throttling.over_current_events is None
    assert board.l4t == "unknown"


def test_this_machine_has_memory_and_runs_no_firmware_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(System, "run", lambda *_: pytest.fail("a program was run on what is no Raspberry Pi"))
    board = look_at_board(System())
    assert board.memory_bytes == psutil.virtual_memory().total


@pytest.mark.parametrize("name", ["fan1_input", "rpm", "rpm_measured"])
def test_turns_of_a_fan_by_the_names_that_drivers_give_them(name: str, tmp_path: Path) -> None:
    system = tree(tmp_path, {"sys/class/hwmon/hwmon1/name": "pwm_tach\n", f"sys/class/hwmon/hwmon1/{name}": "1830\n"})
    assert look_at_board(system).fans == (Fan("pwm_tach", 1830, None),)


# Modes


@pytest.mark.parametrize(
    "text", ["", "NV Power Mode:", "NV Power Mode: 15W", "NVPM ERROR: failed", "NV Power Mode: 15W\nx"]
)
def test_what_nvpmodel_does_not_say(text: str) -> None:
    assert parse_query(text) is None


def test_a_mode_without_a_name_keeps_its_number(tmp_path: Path) -> None:
    system = tree(tmp_path, {"var/lib/nvpmodel/status": "pmode:0003\n"})
    assert read_power_mode(system) == PowerMode(3, None)
    assert read_power_mode(tree(tmp_path, {"etc/nvpmodel.conf": JETSON["etc/nvpmodel.conf"]})) == PowerMode(3, None)
    assert parse_modes("no modes").default is None


class Jetson(System):
    """Files of a Jetson before a program nvpmodel, which prints a text or is not there."""

    def __init__(self, root: Path, text: str | None) -> None:
        super().__init__(root)
        self.text = text

    def run(self, command: object, timeout_s: float = 2.0) -> str:
        assert command == ["nvpmodel", "-q"]
        if self.text is None:
            raise SourceUnavailableError("nvpmodel is not installed", "nothing to do")
        return self.text


def test_nvpmodel_is_asked_where_its_status_may_not_be_read(tmp_path: Path) -> None:
    tree(tmp_path, {"etc/nvpmodel.conf": JETSON["etc/nvpmodel.conf"]})
    assert read_power_mode(Jetson(tmp_path, "NV Power Mode: MAXN_SUPER\n2\n")) == PowerMode(2, "MAXN_SUPER")
    assert read_power_mode(Jetson(tmp_path, "NVPM ERROR: failed")) is None
    assert read_power_mode(Jetson(tmp_path, None)) is None
    assert read_power_mode(System(tmp_path)) is None  # no program for another root


@shared
@pytest.mark.parametrize("name", names("jetson/nvpmodel_q"))
def test_recorded_modes(name: str) -> None:
    told = expected()[name]
    assert parse_query((POWER / name).read_text("utf-8")) == PowerMode(told["id"], told["name"])


@shared
def test_a_recorded_list_of_modes() -> None:
    told = expected()["jetson/nvpmodel.conf"]
    modes = parse_modes((POWER / "jetson/nvpmodel.conf").read_text("utf-8"))
    assert modes.default == told["default"]
    assert {str(id_): name for id_, name in modes.names.items()} == told["modes"]


# Throttling


@pytest.mark.parametrize("bit", range(4))
def test_each_flag_has_its_bit(bit: int) -> None:
    now = parse_throttled(f"throttled={1 << bit:#x}\n")
    since_boot = parse_throttled(f"throttled={1 << bit + 16:#x}\n")
    assert now is not None
    assert since_boot is not None
    assert (now.now, now.since_boot) == ((FLAGS[bit],), ())
    assert (since_boot.now, since_boot.since_boot) == ((), (FLAGS[bit],))


@pytest.mark.parametrize(
    "text", ["", "throttled=", "throttled=0xZ", "Can't open device file: /dev/vcio", "throttled=0x0 0"]
)
def test_no_flags_are_not_flags_of_zero(text: str) -> None:
    assert parse_throttled(text) is None


@shared
@pytest.mark.parametrize("name", names("pi5/get_throttled_"))
def test_recorded_flags(name: str) -> None:
    told, flags = expected()[name], parse_throttled((POWER / name).read_text("utf-8"))
    assert flags is not None
    assert (list(flags.now), list(flags.since_boot)) == (told["now"], told["since_boot"])


class Pi(System):
    """A Raspberry Pi's firmware before this machine's files, or none."""

    def __init__(self, text: str | None) -> None:
        super().__init__()
        self.text = text

    def glob(self, pattern: str) -> list[Path]:
        return []

    def run(self, command: object, timeout_s: float = 2.0) -> str:
        assert command == ["vcgencmd", "get_throttled"]
        if self.text is None:
            raise SourceUnavailableError("vcgencmd is not installed", "nothing to do")
        return self.text


def test_the_firmware_is_asked_on_a_raspberry_pi() -> None:
    flags = read_throttling(Pi("throttled=0x50005"), "Raspberry Pi 5 Model B Rev 1.0").flags
    assert flags is not None
    assert flags.now == ("under_voltage", "throttled")
    assert read_throttling(Pi("throttled=0x50005"), MODEL).flags is None
    assert read_throttling(Pi("Can't open device file: /dev/vcio"), "Raspberry Pi 5").flags is None
    assert read_throttling(Pi(None), "Raspberry Pi 5").flags is None


# Recorded trees


@shared
def test_a_recorded_raspberry_pi() -> None:
    board = look_at_board(System(POWER / "pi5/sysfs"))
    assert board.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert board.throttling.supply_too_low is expected()["pi5/sysfs"]["under_voltage"] is False
    assert board.fans == (Fan("pwmfan", 2775, 75),)
    assert board.temperatures_c == {"cpu-thermal": 48.75}


def test_a_supply_that_is_too_weak_is_told(tmp_path: Path) -> None:
    hwmon = "sys/class/hwmon/hwmon4"
    system = tree(tmp_path, {f"{hwmon}/name": "rpi_volt\n", f"{hwmon}/in0_lcrit_alarm": "1\n"})
    assert look_at_board(system).throttling.supply_too_low is True


@shared
@pytest.mark.parametrize("name", ["orin_nano_idle", "orin_nano_load"])
def test_recorded_jetsons(name: str) -> None:
    board = look_at_board(System(POWER / "jetson" / name))
    assert board.model == MODEL
    assert board.l4t == "36.4.3"
    assert board.power_mode == PowerMode(2, None)
    assert set(board.temperatures_c) == {"cpu-thermal", "gpu-thermal", "tj-thermal"}
    assert set(board.throttling.over_current_events or {}) == {"oc1_event_cnt", "oc2_event_cnt", "oc3_event_cnt"}


@shared
def test_a_recorded_temperature() -> None:
    text = (POWER / "pi5/measure_temp.txt").read_text("utf-8")
    assert parse_measured_temperature(text) == expected()["pi5/measure_temp.txt"]["C"]
    assert parse_measured_temperature("Can't open device file: /dev/vcio") is None
    assert parse_measured_temperature("temp=x'C") is None

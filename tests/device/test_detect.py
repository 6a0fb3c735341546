"""Which meter is used: the user's own, then the board's, then any machine's; and why the others are not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from device import detect
from device.board import read_model
from device.calibration import Level, calibrate, sensor_of
from device.calibration_files import CalibrationFiles
from device.detect import BoardKind, Candidate, Look, Survey, board_kind, open_source, survey
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading, Scope, Source
from device.sources.pmic_text import pmic_meter
from device.system import System
from device.throttling import ThrottleFlags
from tests.device.fixtures import POWER, expected, shared
from tests.device.machines import BATTERY, FORBIDDEN, INA226, JETSON, RAPL, TIMED_OUT, Files, Watched, write

NAMED = Path("/sys/class/hwmon/hwmon5")
MODEL = "sys/firmware/devicetree/base/model"


def names(root: Path, *trees: Files, meter: Path | None = None) -> list[str]:
    return [look.meter.source for look in survey(System(write(root, *trees)), meter).looks]


def test_the_order_is_how_much_of_the_machine_a_meter_sees(tmp_path: Path) -> None:
    everything = [JETSON, INA226, BATTERY, RAPL]
    assert names(tmp_path, *everything, meter=NAMED) == ["hwmon", "ina3221-sysfs", "battery", "rapl"]
    assert names(tmp_path) == ["ina3221-sysfs", "battery", "rapl"]  # nobody named the ina226


def test_the_first_that_opens_is_selected_and_later_ones_are_not_touched(tmp_path: Path) -> None:
    system = Watched(write(tmp_path, JETSON, BATTERY, RAPL), {"curr1_input": FORBIDDEN})
    found = open_source(system)
    assert found.selected is not None
    assert found.selected.meter.source == "battery"
    assert [missing.source for missing in found.unavailable] == ["ina3221-sysfs", "tegrastats"]
    assert found.unavailable[0].reason == f"this user may not read {tmp_path}/sys/class/hwmon/hwmon3/curr1_input"
    assert "udevadm" in found.unavailable[0].remedy
    assert "energy_uj" not in system.seen


def test_a_meter_of_the_user_that_fails_is_told_first(tmp_path: Path) -> None:
    found = open_source(System(write(tmp_path, RAPL)), NAMED)
    assert found.selected is not None
    assert found.selected.meter.scope == "cpu-package"
    assert [missing.source for missing in found.unavailable] == ["hwmon", "battery"]


def test_a_recording_takes_the_place_of_a_meter(tmp_path: Path) -> None:
    root = write(tmp_path, RAPL, {"home/run.csv": "# scope: module\nt_s,p_w\n0,5\n1,5"})
    found = open_source(System(root), Path("/home/run.csv"))
    assert found.selected is not None
    assert (found.selected.meter.source, found.selected.read().power_w) == ("replay", 5.0)
    assert found.selected.meter.scope == "module"
    assert names(root, meter=Path("/home/run.csv")) == ["replay", "rapl"]
    missing = open_source(System(root), Path("/home/other.csv")).unavailable[0]
    assert missing.source == "replay"
    assert "is no recording" in missing.reason


def test_a_fault_that_nobody_foresaw_hides_no_other_meter(tmp_path: Path) -> None:
    class Broken(System):
        def read(self, path: Path) -> str:
            if path.name == broken:
                raise ZeroDivisionError(path.name)
            return super().read(path)

    for broken in ("curr1_input", "in1_label"):
        found = survey(Broken(write(tmp_path, JETSON, RAPL)))
        assert found.unavailable[0].source == "ina3221-sysfs"
        assert f"failed (ZeroDivisionError: {broken})" in found.unavailable[0].reason
        assert [look.meter.source for look in found.looks if look.reading] == ["rapl"]


def test_nothing_is_nothing(tmp_path: Path) -> None:
    found = open_source(System(tmp_path))
    assert found.selected is None
    assert [missing.source for missing in found.unavailable] == ["battery", "rapl", "nvml"]
    assert all(missing.reason and missing.remedy for missing in found.unavailable)


def test_a_look_that_fails_leaves_its_meter_without_a_figure(tmp_path: Path) -> None:
    found = survey(Watched(write(tmp_path, JETSON), {"curr1_input": TIMED_OUT}))
    assert [(look.meter.source, look.reading) for look in found.looks] == [("ina3221-sysfs", None)]
    assert found.unavailable[0].source == "ina3221-sysfs"
    assert "curr1_input cannot be read now" in found.unavailable[0].reason


@pytest.mark.parametrize(
    ("tree", "kind"),
    [
        ({MODEL: "NVIDIA Jetson Orin Nano Developer Kit\0"}, "jetson"),
        ({"etc/nv_tegra_release": "# R36 (release)"}, "jetson"),
        ({MODEL: "Raspberry Pi 5 Model B Rev 1.0\0"}, "pi5"),
        ({MODEL: "Raspberry Pi 4 Model B Rev 1.4\0"}, "other"),
        ({}, "other"),
    ],
)
def test_the_kind_of_board(tmp_path: Path, tree: Files, kind: BoardKind) -> None:
    assert board_kind(System(write(tmp_path, tree))) == kind


def test_a_pc_is_named_by_its_firmware(tmp_path: Path) -> None:
    write(tmp_path, {"sys/class/dmi/id/sys_vendor": "LENOVO", "sys/class/dmi/id/product_name": "20XW004AGE"})
    assert read_model(System(tmp_path)) == "LENOVO 20XW004AGE"
    assert read_model(System(write(tmp_path, {MODEL: "Raspberry Pi 5\0"}))) == "Raspberry Pi 5"


def test_the_model_has_no_nul_and_is_none_rather_than_empty(tmp_path: Path) -> None:
    assert read_model(System(tmp_path)) is None
    assert read_model(System(write(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5\0"}))) == "Raspberry Pi 5"


PMIC_TEXT = """\
 3V7_WL_SW_A current(0)=0.50000000A
  VDD_CORE_A current(7)=2.00000000A
 3V7_WL_SW_V volt(8)=4.00000000V
  VDD_CORE_V volt(15)=0.75000000V
"""


class Pi(System):
    """A Raspberry Pi 5 in files and texts that is taken for this very machine."""

    def __init__(self, root: Path, text: str = PMIC_TEXT) -> None:
        super().__init__(write(root, {MODEL: "Raspberry Pi 5 Model B Rev 1.0\0"}))
        self.text = text

    @property
    def is_own(self) -> bool:
        return True

    def run(self, command: Sequence[str], timeout_s: float = 2.0) -> str:
        answers = {"pmic_read_adc": self.text, "get_throttled": "throttled=0x50000\n", "measure_temp": "temp=48.8'C\n"}
        assert command[0] == "vcgencmd"
        return answers[command[1]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def rails_and_estimate(found: Survey) -> list[Look]:
    return [look for look in found.looks if look.meter.source == "vcgencmd"]


@pytest.mark.usefixtures("home")
def test_a_pi_shows_its_rails_and_beside_them_the_estimate_at_the_supply(tmp_path: Path) -> None:
    found = survey(Pi(tmp_path))
    rails, estimate = rails_and_estimate(found)
    assert found.looks[0] is rails
    assert (rails.meter.scope, rails.meter.kind, rails.meter.correction) == ("pmic-rails", "measured", None)
    assert (estimate.meter.scope, estimate.meter.kind, estimate.is_derived) == ("supply", "estimated", True)
    assert rails.reading is not None
    assert estimate.reading is not None
    assert rails.reading.power_w == 3.5
    assert estimate.reading.power_w == pytest.approx(1.1451 * 3.5 + 0.5879)
    assert found.board.throttling.flags == ThrottleFlags((), ("under_voltage", "throttled"))
    assert found.board.temperatures_c == {"firmware": 48.8}
    selected = open_source(Pi(tmp_path)).selected
    assert selected is not None
    assert (selected.meter.scope, selected.meter.kind) == ("pmic-rails", "measured")


@shared
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("load", ["idle", "load"])
def test_a_recorded_pi_shows_both_as_they_were_worked_out(tmp_path: Path, load: str) -> None:
    name = f"pi5/pmic_read_adc_{load}.txt"
    told = expected()[name]
    looks = rails_and_estimate(survey(Pi(tmp_path, (POWER / name).read_text("utf-8"))))
    shown_w = [look.reading.power_w for look in looks if look.reading]
    assert shown_w == pytest.approx([told["sum_W"], told["wall_estimate_W_jfikar"]], abs=1e-6)


def test_a_calibration_takes_the_place_of_the_estimate(tmp_path: Path, home: Path) -> None:
    """What was made with this very board; the published correction is of another one."""
    sensor = sensor_of(pmic_meter("vcgencmd"), "Raspberry Pi 5 Model B Rev 1.0")
    levels = [Level(said_w, 1.2 * said_w + 0.4) for said_w in (2.0, 3.0, 4.0, 5.0)]
    CalibrationFiles().save(calibrate(sensor, levels, "FNB58", date(2026, 11, 22)))
    (look,) = rails_and_estimate(survey(Pi(tmp_path)))
    assert look.reading is not None
    assert look.reading.power_w == pytest.approx(1.2 * 3.5 + 0.4)
    assert look.reading.rails_w == {"3V7_WL_SW": 2.0, "VDD_CORE": 1.5, "sum of PMIC rails": 3.5}
    assert (look.meter.scope, look.meter.kind) == ("supply", "estimated")
    assert look.meter.correction == "1.2000 x +0.4000 W, calibrated with FNB58 at 4 levels on 2026-11-22"
    selected = open_source(Pi(tmp_path)).selected
    assert selected is not None
    assert selected.meter == look.meter


def test_no_calibration_of_this_machine_is_used_for_another_root(tmp_path: Path, home: Path) -> None:
    system = System(write(tmp_path, JETSON))
    found = open_source(system).selected
    assert found is not None
    sensor = sensor_of(found.meter, read_model(system) or "")
    levels = [Level(said_w, said_w + 2.0) for said_w in (2.0, 3.0, 4.0, 5.0)]
    CalibrationFiles().save(calibrate(sensor, levels, "FNB58", date(2026, 11, 22)))
    (look,) = survey(system).looks
    assert look.reading is not None
    assert (look.reading.power_w, look.meter.calibrated) == (6.0, None)


@dataclass
class Scripted:
    """A source that answers as it is told, and remembers whether it was closed."""

    meter: Meter
    fault: Exception | None = None
    closed: bool = False

    def read(self) -> Reading:
        if self.fault:
            raise self.fault
        return Reading(power_w=3.0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Scripted]:
    """Sources of a Pi 5: one fails once, one for good, one answers, and so does one that is used only if asked for."""
    faults = [ReadingError("busy"), SourceUnavailableError("gone", "plug it in"), None, None]
    meters = [Meter(name, "all", "module", "measured") for name in ("pmic-ioctl", "vcgencmd", "replay", "jtop")]
    sources = [Scripted(meter, fault) for meter, fault in zip(meters, faults, strict=True)]

    def candidate(source: Scripted) -> Candidate:
        def opener(_: System) -> Source:
            return source

        return Candidate(source.meter.source, opener, only_if_asked=source.meter.source == "jtop")

    monkeypatch.setitem(detect.OF_BOARD, "pi5", tuple(candidate(source) for source in sources))
    return sources


def test_a_line_in_the_table_is_all_that_a_source_needs(tmp_path: Path, scripted: list[Scripted]) -> None:
    found = survey(System(write(tmp_path, {MODEL: "Raspberry Pi 5 Model B"})))
    assert [look.meter.source for look in found.looks] == ["pmic-ioctl", "replay"]
    assert [missing.source for missing in found.unavailable] == ["pmic-ioctl", "vcgencmd", "battery", "rapl", "nvml"]
    assert (found.unavailable[1].reason, found.unavailable[1].remedy) == ("gone", "plug it in")
    assert [source.closed for source in scripted] == [True, True, True, False]


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        ("pmic-rails", [("pmic-rails", False), ("supply", True), ("pmic-rails", False)]),
        ("supply", [("supply", False), ("pmic-rails", False)]),
    ],
)
def test_there_is_one_estimate_at_the_supply_and_none_beside_a_better_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Scope, shown: list[tuple[Scope, bool]]
) -> None:
    def opener(scope: Scope) -> Callable[[System], Source]:
        return lambda _: Scripted(Meter("vcgencmd", "sum of PMIC rails", scope, "measured"))

    candidates = (Candidate("pmic-ioctl", opener(first)), Candidate("vcgencmd", opener("pmic-rails")))
    monkeypatch.setitem(detect.OF_BOARD, "pi5", candidates)
    found = survey(System(write(tmp_path, {MODEL: "Raspberry Pi 5 Model B"})))
    assert [(look.meter.scope, look.is_derived) for look in found.looks] == shown


def test_a_source_that_disturbs_is_used_only_if_asked_for(tmp_path: Path, scripted: list[Scripted]) -> None:
    system = System(write(tmp_path, {MODEL: "Raspberry Pi 5 Model B"}))
    found = survey(system, asked_for={"jtop"})
    assert [look.meter.source for look in found.looks] == ["pmic-ioctl", "replay", "jtop"]
    assert scripted[-1].closed
    assert open_source(system, asked_for={"jtop"}).selected is scripted[0]

"""Which meter is used: the user's own, then the board's, then any machine's; and why the others are not."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from device import detect
from device.board import read_model
from device.detect import BoardKind, Candidate, board_kind, open_source, survey
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading, Source
from device.system import System
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


def test_the_model_has_no_nul_and_is_none_rather_than_empty(tmp_path: Path) -> None:
    assert read_model(System(tmp_path)) is None
    assert read_model(System(write(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5\0"}))) == "Raspberry Pi 5"


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
    meters = [Meter(name, "all", "pmic-rails", "measured") for name in ("pmic-ioctl", "vcgencmd", "replay", "jtop")]
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


def test_a_source_that_disturbs_is_used_only_if_asked_for(tmp_path: Path, scripted: list[Scripted]) -> None:
    system = System(write(tmp_path, {MODEL: "Raspberry Pi 5 Model B"}))
    found = survey(system, asked_for={"jtop"})
    assert [look.meter.source for look in found.looks] == ["pmic-ioctl", "replay", "jtop"]
    assert scripted[-1].closed
    assert open_source(system, asked_for={"jtop"}).selected is scripted[0]

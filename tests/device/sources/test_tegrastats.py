"""Lines of tegrastats in all forms, and a program that behaves as it must not."""

from pathlib import Path

import pytest

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter
from device.sources.tegrastats import open_tegrastats, parse_line, to_reading
from device.system import System
from tests.device.fixtures import POWER, expected, names, shared

LINE = "RAM 1/2MB SWAP 0/3MB CPU [1%@729,off] cpu@47.6C VDD_IN 5014mW/4800mW VDD_SOC 1506mW/1500mW"


def test_the_first_figure_counts_and_memory_is_no_rail() -> None:
    assert parse_line(LINE) == {"VDD_IN": 5.014, "VDD_SOC": 1.506}
    reading = to_reading(parse_line(LINE))
    assert reading.power_w == 5.014
    assert reading.rails_w == {"VDD_IN": 5.014, "VDD_SOC": 1.506}
    assert reading.energy_j is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RAM 1/2MB CPU [1%@729]", "without power rails"),
        ("", "without power rails"),
        ("VDD_GPU_SOC 5139mW/5120mW VIN_SYS_5V0 5500mW/5500mW", "no VDD_IN, only VDD_GPU_SOC, VIN_SYS_5V0"),
        ("VDD_IN 0mW/0mW VDD_SOC 10mW/10mW", "0 W at VDD_IN"),
        ("VDD_SOC 10mW/10mW VDD_IN 5014mW/48", None),
        ("VDD_SOC 10mW/10mW VDD_IN 5014", "no VDD_IN"),
        ("VDD_SOC 10mW/10mW VDD_IN 5014m", "no VDD_IN"),
    ],
)
def test_a_line_without_a_total_gives_none(line: str, message: str | None) -> None:
    if message is None:  # cut off in the average, which is not read
        assert to_reading(parse_line(line)).power_w == 5.014
        return
    with pytest.raises(ReadingError, match=message):
        to_reading(parse_line(line))


@shared
@pytest.mark.parametrize("name", names("jetson/tegrastats_"))
def test_recorded_lines(name: str) -> None:
    rails_mw = expected()[name]["rails_mW_now"]
    rails_w = rails_mw and {rail: power_mw / 1000 for rail, power_mw in rails_mw.items()}
    assert parse_line((POWER / name).read_text("utf-8")) == rails_w


@shared
def test_lines_of_real_boards() -> None:
    nano = parse_line((POWER / "reference/tegrastats_orin_nano_super_r36.4.3.txt").read_text("utf-8"))
    assert nano == {"VDD_IN": 4.556, "VDD_CPU_GPU_CV": 0.483, "VDD_SOC": 1.451}
    agx = parse_line((POWER / "reference/tegrastats_agx_orin_jp7.2.txt").read_text("utf-8"))
    assert agx == {"VDD_GPU_SOC": 5.139, "VDD_CPU_CV": 3.268, "VIN_SYS_5V0": 5.5}


def program(folder: Path, script: str) -> str:
    path = folder / "tegrastats"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_it_runs_as_long_as_the_source_is_open(tmp_path: Path) -> None:
    script = f'test "$*" = "--interval 200" || exit 1\nwhile :; do echo "{LINE}"; sleep 0.02; done'
    source = open_tegrastats(System(), deadline_s=20, program=program(tmp_path, script))
    assert (source.meter.source, source.meter.rail, source.meter.scope) == ("tegrastats", "VDD_IN", "module")
    assert [source.read().power_w for _ in range(3)] == [5.014] * 3
    source.close()
    with pytest.raises(SourceUnavailableError, match="has ended"):
        source.read()


def test_one_that_freezes_is_told_at_its_deadline(tmp_path: Path) -> None:
    source = open_tegrastats(System(), deadline_s=20, program=program(tmp_path, f'echo "{LINE}"; sleep 60'))
    source._deadline_s = 0.05
    with pytest.raises(ReadingError, match="printed nothing for"):
        source.read()
    source.close()


@pytest.mark.parametrize(
    ("script", "deadline_s", "message"),
    [
        ("sleep 60", 0.2, "printed nothing for"),
        ("exit 0", 20, "has ended"),
        ("echo 'tegrastats: not supported' >&2", 20, "without power rails"),
        ("echo 'VIN_SYS_5V0 5500mW/5500mW'; sleep 60", 20, "no VDD_IN"),
    ],
)
def test_one_that_gives_no_total_is_no_source(tmp_path: Path, script: str, deadline_s: float, message: str) -> None:
    with pytest.raises(SourceUnavailableError, match=message):
        open_tegrastats(System(), deadline_s, program(tmp_path, script))


class Jetson(System):
    """This machine's programs beside a Jetson's files."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.files = System(root)

    def glob(self, pattern: str) -> list[Path]:
        return self.files.glob(pattern)


CHIP = {"name": "ina3221", "in1_label": "VDD_IN", "samples": "512", "update_interval": "430"}


@pytest.mark.parametrize(
    ("files", "smoothing"),
    [
        (CHIP, Filter(512, 0.43, 0.43)),
        ({**CHIP, "samples": "64", "update_interval": "2"}, Filter(64, 0.002, 0.128)),
        ({**CHIP, "samples": "0"}, None),
        ({**CHIP, "samples": "many"}, None),
        ({**CHIP, "in1_label": "VDD_SOC"}, None),
        ({**CHIP, "name": "ina226"}, None),
    ],
)
def test_it_lags_as_the_chip_does(tmp_path: Path, files: dict[str, str], smoothing: Filter | None) -> None:
    chip = tmp_path / "sys/class/hwmon/hwmon3"
    chip.mkdir(parents=True)
    for name, text in files.items():
        (chip / name).write_text(f"{text}\n")
    source = open_tegrastats(Jetson(tmp_path), 20, program(tmp_path, f'echo "{LINE}"; sleep 60'))
    source.close()
    assert source.meter.filter == smoothing


def test_it_is_not_run_for_another_root(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(SourceUnavailableError, match="without --sysroot"):
        open_tegrastats(System(tmp_path), program=program(tmp_path, f"touch {ran}"))
    assert not ran.exists()


def test_a_machine_without_it_says_so() -> None:
    with pytest.raises(SourceUnavailableError, match="tegrastats is not installed"):
        open_tegrastats(System(), program="/absent/tegrastats")

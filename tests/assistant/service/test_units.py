"""What systemd itself says of the units."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.service.units import Choice, wanted_entries
from device.detect import BoardKind
from tests.assistant.service.conftest import Image, make_board

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BOARDS = {"cpu": "some board", "pi": "Raspberry Pi 5 Model B", "jetson": "NVIDIA Jetson Orin Nano"}
UNITS = Path(__file__).parents[3] / "systemd"


def analyse(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def systemd_version() -> int:
    """0 where there is none."""
    if shutil.which("systemd-analyze") is None:
        return 0
    return int(analyse("--version").stdout.split()[1])


@pytest.mark.skipif(systemd_version() < 250, reason="systemd-analyze is not here, or cannot look at files")
@pytest.mark.parametrize(("board", "tenths"), [("cpu", 3), ("pi", 3), ("jetson", 8)])
def test_what_the_sandbox_leaves_open(image: Image, board: str, tenths: int) -> None:
    make_board(image, BOARDS[board])
    image.install()
    secure = ("security", "--offline=true", f"--root={image.root}")
    done = analyse(*secure, f"--threshold={tenths}", "bedside.service")
    assert done.returncode == 0, done.stdout
    assert analyse(*secure, "--threshold=0", "bedside.service").returncode != 0  # the threshold is looked at


@pytest.mark.skipif(systemd_version() < 250, reason="systemd-analyze is not here, or cannot look at files")
@pytest.mark.parametrize("board", BOARDS)
def test_systemd_understands_every_line(image: Image, board: str) -> None:
    make_board(image, BOARDS[board])
    image.install()
    units = image.root / "etc/systemd/system"
    # It looks for the program on this machine; and for the units of the system, which an image does not have.
    unit = units / "bedside.service"
    unit.write_text(unit.read_text().replace("/opt/bedside/bin/python", "/bin/true"))
    done = analyse("verify", str(unit), str(units / "bedside.socket"))
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("LockPersonality=yes", "LockPersonality=perhaps"))
    assert analyse("verify", str(unit)).stderr


def test_a_wheel_carries_every_template() -> None:
    told = tomllib.loads((UNITS.parent / "pyproject.toml").read_text("utf-8"))
    patterns = told["tool"]["setuptools"]["package-data"]["assistant"]
    carried = {path for pattern in patterns for path in (UNITS.parent / "assistant").glob(pattern)}
    templates = {UNITS.parent / "assistant/service/units" / path.name for path in UNITS.iterdir()}
    assert {path.name for path in templates - carried} == {"README.md"}


@pytest.mark.parametrize("board", ["jetson", "jetson-jetpack4", "pi5", "other"])
def test_no_blank_stays_open(board: BoardKind) -> None:
    entries = wanted_entries(Choice("/opt/bedside/bin/python", "m", 1, board), "key")
    for blank in (b"@python@", b"@model@", b"@port@"):
        assert not any(blank in entry.data for entry in entries.values())
        assert any(blank in path.read_bytes() for path in UNITS.iterdir())

"""A machine's files below a root of its own: nothing outside it is read, nothing of this machine is run."""

from pathlib import Path

import pytest

from device.errors import SourceUnavailableError
from device.system import System


def test_a_root_of_its_own_is_never_this_machine(tmp_path: Path) -> None:
    assert System().is_own
    assert not System(tmp_path).is_own
    assert not System(Path("/")).is_own  # asked for files, even if they are this machine's
    with pytest.raises(SourceUnavailableError, match=r"true is not run for .*; look at the machine itself"):
        System(tmp_path).run(["true"])


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").write_text("5")
    (root / "inside").write_text("6")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to("../outside")
    (root / "in").symlink_to("inside")
    system = System(root)
    assert system.read(root / "in") == "6"
    for name in ("out", "up", "../outside"):
        with pytest.raises(FileNotFoundError):
            system.read(system.path(name))
    assert System().read(root / "out") == "5"


def test_what_a_file_says_is_safe_to_show(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson\x1b[2J Orin\r\x00\n")
    assert System(tmp_path).read(tmp_path / "model") == "NVIDIA Jetson[2J Orin"


def test_programs_that_are_missing_slow_or_angry() -> None:
    system = System()
    assert system.run(["sh", "-c", "echo said; echo told >&2; exit 3"]) == "said\ntold\n"
    with pytest.raises(SourceUnavailableError, match="no-such-program is not installed"):
        system.run(["no-such-program"])
    with pytest.raises(SourceUnavailableError, match="sleep gives no answer \\(TimeoutExpired\\)"):
        system.run(["sleep", "5"], timeout_s=0.05)

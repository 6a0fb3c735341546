"""The memory that the scale check watches, and what it refuses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.scale import FREE_BYTES, anonymous_bytes, main

HELD = "held = bytearray(b'1' * (64 << 20)); print(flush=True); input()"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_memory_of_children_counts() -> None:
    before = anonymous_bytes(os.getpid())
    command = [sys.executable, "-c", HELD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        grown = anonymous_bytes(os.getpid()) - before
        alone = anonymous_bytes(child.pid)
        child.communicate(b"\n")
    assert 64 << 20 < alone < 128 << 20
    assert grown > 60 << 20
    assert anonymous_bytes(child.pid) == 0


def test_too_small_a_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(FREE_BYTES, 1, FREE_BYTES - 1))
    with pytest.raises(SystemExit, match="GiB free; this needs 40: free some first"):
        main(["--folder", str(tmp_path / "scale")])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(SystemExit, match="exists; remove it"):
        main(["--folder", str(tmp_path)])
    assert (tmp_path / "kept").read_text() == "mine"

"""A full disk: what was saved is read, what was not is said, and removing works."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = "mount -t tmpfs -o size=10m none {folder} && exec {command}"


def on_a_small_disk(folder: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that sees a disk of 10 MiB there, in a mount namespace of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run(
        [*namespace, SMALL.format(folder=folder, command="true")], capture_output=True, check=False
    ).returncode:
        pytest.skip("no disk can be mounted here")
    return subprocess.run(
        [*namespace, SMALL.format(folder=folder, command=command)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_full_disk_is_said_and_can_be_read_and_removed_from(tmp_path: Path) -> None:
    command = f"{sys.executable} -W error -m tests.assistant.history.full_disk {tmp_path}"
    done = on_a_small_disk(tmp_path, command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "not saved, since the disk is full",
        "whole 2",
        "opened again",
        "removed 3",
        "purged True",
        "whole",
        "left 0",
    ]

"""Make a machine, boot it twice, print what holds: `python -m tests.boots`."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.boots import checks
from tests.boots.machine import Booted, booted, listens
from tests.boots.rootfs import ENVIRONMENT, ROOT, make_root

_NEEDED = {"systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "nsenter": "util-linux"}
_FOLDER = ROOT / "build" / "boots"


def main() -> int:
    """Exit status: 0 where everything holds."""
    missing = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
    if os.geteuid() or missing:
        needs = f"apt-get install {' '.join(missing)}" if missing else "root"
        print(f"error: booting a machine needs {needs}", file=sys.stderr)
        return 1
    started = time.monotonic()
    root = make_root(_FOLDER)
    print(f"machine    made in {time.monotonic() - started:.0f} s")
    held = first_boot(root) and second_boot(root)
    shutil.rmtree(root)
    return 0 if held else 1


def first_boot(root: Path) -> bool:
    with booted(root, _FOLDER / "first.log") as machine:
        before = checks.files(machine)
        return told(machine, [
            ("install", checks.installing),
            ("socket", checks.answers_on_the_socket),
            ("loopback", checks.answers_on_loopback),
            ("library", checks.libraries_of_the_service),
            ("confined", checks.the_process_is_confined),
            ("probes", checks.the_sandbox_refuses),
            ("exposure", checks.scored),
            ("models", checks.models_of_its_store),
            ("kill -9", checks.killed),
            ("watchdog", checks.stuck),
            ("boards", checks.drop_ins_of_boards),
            ("uninstall", lambda booted: checks.uninstalling(booted, before)),
            ("port taken", lambda booted: checks.port_taken(booted, before)),
        ])  # fmt: skip


def second_boot(root: Path) -> bool:
    """Installed into the image this time; the first request comes while it starts."""
    into = ["--root", str(root), "--environment", ENVIRONMENT]
    subprocess.run([sys.executable, "-m", "assistant", "service", "install", *into], cwd=ROOT, check=True)
    with booted(root, _FOLDER / "second.log", until=listens) as machine:
        return told(machine, [("image", checks.cold_boot), ("purge", checks.purging)])


def told(machine: Booted, steps: list[tuple[str, Callable[[Booted], str]]]) -> bool:
    """Whether all held; the first that does not ends it, since those after it build on it."""
    for name, step in steps:
        try:
            print(f"{name:<10} {step(machine)}", flush=True)
        except AssertionError as fault:
            print(f"{name:<10} FAULT {fault}", flush=True)
            print(machine.run("journalctl", "--no-pager", "-n", "30", "-o", "cat").stdout)
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())

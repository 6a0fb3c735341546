"""A machine that boots systemd from a folder, by systemd-nspawn: commands in it, and its end."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BOOT_S = 60.0
_END_S = 60.0
# Without all capabilities and the bpf call, systemd leaves IPAddressDeny= unenforced and says nothing.
_NSPAWN = (
    "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe", "--private-network",
    "--capability=all", "--system-call-filter=bpf",
)  # fmt: skip


@dataclass(frozen=True)
class Booted:
    """A machine that runs; `init` is its first process as seen from here."""

    root: Path
    init: int

    def run(self, *command: str, timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
        """A command of root in the machine."""
        entered = ["nsenter", "--target", str(self.init), "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run(
            [*entered, "--root", "--wd", *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def read(self, *command: str) -> str:
        """What it prints; it has to succeed."""
        done = self.run(*command)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()


def is_up(machine: Booted) -> bool:
    """Whether all that starts with it has started, or failed."""
    return machine.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")


def listens(machine: Booted) -> bool:
    """Whether the service's socket is there, as it is before the service itself."""
    return Path("/proc", str(machine.init), "root", "run/bedside/bedside.sock").exists()


@contextmanager
def booted(root: Path, log: Path, *, until: Callable[[Booted], bool] = is_up) -> Iterator[Booted]:
    """Boot the folder and wait so far; it is powered off at the end."""
    with log.open("wb") as written:
        nspawn = subprocess.Popen(
            [*_NSPAWN, "--directory", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
    try:
        machine = Booted(root, _init_of(nspawn, log))
        _wait(machine, until)
        yield machine
        machine.run("systemctl", "poweroff")
        nspawn.wait(_END_S)
    finally:
        if nspawn.poll() is None:
            nspawn.kill()
            nspawn.wait()


def _init_of(nspawn: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + _BOOT_S
    while time.monotonic() < deadline and nspawn.poll() is None:
        for child in _children(nspawn.pid):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        time.sleep(0.05)
    raise SystemExit(f"error: systemd-nspawn has booted nothing: {log.read_text()[-600:]}")


def _children(process: int) -> Sequence[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _wait(machine: Booted, until: Callable[[Booted], bool]) -> None:
    deadline = time.monotonic() + _BOOT_S
    while not until(machine):
        if time.monotonic() > deadline:
            raise SystemExit("error: the machine does not come up")
        time.sleep(0.02)

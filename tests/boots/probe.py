"""Runs inside the service's sandbox, by the machine's own Python: what it tries has to be refused, or to work, by kernel."""

import ctypes
import errno
import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

STATES = Path("/var/lib/bedside/states")
_libc = ctypes.CDLL(None, use_errno=True)


def outcome(attempt: Callable[[], object]) -> str:
    """The name of the error that it was refused with, else `done`."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "done"


def call(name: str, *arguments: object) -> Callable[[], None]:
    """A function of the C library, which says -1 where it is refused."""

    def attempt() -> None:
        if getattr(_libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    return attempt


def run_what_was_written() -> None:
    program = STATES / "probe"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    try:
        subprocess.run([program], check=True)
    finally:
        program.unlink()


ATTEMPTS: dict[str, Callable[[], object]] = {
    "a socket to the network (IPv4)": lambda: socket.socket(socket.AF_INET),
    "a socket to the network (IPv6)": lambda: socket.socket(socket.AF_INET6),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "writing to /etc": lambda: Path("/etc/probe").touch(),
    "writing to its own program": lambda: Path(sys.executable).with_name("probe").touch(),
    "writing to the models": lambda: Path("/var/lib/bedside/models/probe").touch(),
    "writing a kernel setting": lambda: Path("/proc/sys/kernel/core_pattern").write_text("x"),
    "reading the key's file": lambda: Path("/etc/bedside/api-key").read_bytes(),
    "reading a clinician's home": lambda: list(Path("/home/clinician").iterdir()),
    "running what it has written": run_what_was_written,
    "memory that is written and run": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ),
    "a namespace of its own": call("unshare", 0x10000000),
    "a mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "tracing a process": call("ptrace", 16, 1, None, None),
    "a higher priority": call("setpriority", 0, 0, -5),
    "another user": lambda: os.setuid(0),
    "writing its states": (STATES / "probe").touch,
    "reading the free memory": lambda: Path("/proc/meminfo").read_text(),
    "a unix socket": lambda: socket.socket(socket.AF_UNIX),
}


def main() -> None:
    """Print what came of each attempt, and what else can be seen."""
    outcomes = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    (STATES / "probe").unlink(missing_ok=True)
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    seen = {
        "others' processes": sum(path.stat().st_uid != os.getuid() for path in processes),
        "network devices": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "firmware": outcome(lambda: os.open("/dev/vcio", os.O_RDWR)),
        "secrets in the environment": [name for name, text in os.environ.items() if "KEY" in name or len(text) == 43],
    }
    print("PROBE " + json.dumps({"outcomes": outcomes, "seen": seen}))


if __name__ == "__main__":
    main()

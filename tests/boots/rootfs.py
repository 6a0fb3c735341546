"""A Debian in a folder, with Bedside installed in /opt/bedside from a wheel of this tree."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "/opt/bedside"
_PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,procps,libgomp1"
_PYTHON = "3.11"
"""Of bookworm."""


def make_root(folder: Path) -> Path:
    """The root folder of a fresh machine below `folder`, where the bare system and the wheels stay for the next time."""
    base, wheels, root = folder / "base", folder / "wheels", folder / "root"
    folder.mkdir(parents=True, exist_ok=True)
    if not (base / "usr/bin/python3").exists():
        shutil.rmtree(base, ignore_errors=True)
        _run(["mmdebstrap", "--quiet", "--variant=apt", f"--include={_PACKAGES}", "bookworm", str(base)])
    _make_wheels(wheels)
    shutil.rmtree(root, ignore_errors=True)
    _run(["cp", "--archive", "--reflink=auto", str(base), str(root)])
    _run(["cp", "--recursive", str(wheels), str(root / "wheels")])
    inside = ["chroot", str(root), "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    _run([*inside, "python3", "-m", "venv", ENVIRONMENT])
    pip = [f"{ENVIRONMENT}/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--find-links", "/wheels"]
    _run([*inside, *pip, "bedside"])
    shutil.rmtree(root / "wheels")
    return root


def _make_wheels(folder: Path) -> None:
    """Of this tree as it is, and of everything that it needs, for the machine's Python."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("bedside-*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    _run([*build, f"llama-cpp-python=={version('llama-cpp-python')}"])
    _run([*build, str(ROOT)])
    ours = next(folder.glob("bedside-*.whl"))
    fetch = [*pip, "download", "--quiet", "--dest", str(folder), "--find-links", str(folder), "--only-binary=:all:"]
    _run([*fetch, "--python-version", _PYTHON, str(ours)])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command[:4])} failed: {done.stderr.strip()[-600:]}")

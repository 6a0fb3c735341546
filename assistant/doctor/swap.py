"""Swap, where memory with patients' text could come to lie on a disk."""

from pathlib import Path

from assistant.doctor.line import Line, ok, warning
from assistant.doctor.machine import Machine

_OFF = (
    "switch it off and take it out of /etc/fstab, or encrypt it; the installed service never swaps\nsudo swapoff --all"
)
_DEEPEST = 8
"""Block devices on top of one another."""


def check_swap(machine: Machine) -> list[Line]:
    """Which swap there is, and whether what is written there is encrypted."""
    areas = [line.split() for line in (machine.read("/proc/swaps") or "").splitlines()[1:]]
    if not areas:
        return [ok("Swap", "none")]
    named = [(fields[0], int(fields[2]) / 2**20) for fields in areas if len(fields) > 2 and fields[2].isdecimal()]
    on_disk = [(place, gib) for place, gib in named if not Path(place).name.startswith("zram")]
    open_ = [(place, gib) for place, gib in on_disk if not _is_encrypted(machine, place)]
    shown = ", ".join(f"{gib:.1f} GiB on {place}" for place, gib in (open_ or named))
    if open_:
        return [warning("Swap", f"{shown}, not known to be encrypted: what is asked may come to lie there", _OFF)]
    return [ok("Swap", f"{shown}, {'encrypted' if on_disk else 'in memory'}")]


def _is_encrypted(machine: Machine, place: str) -> bool:
    """Whether dm-crypt lies below a swap partition, or below the file system of a swap file."""
    number = f"/sys/class/block/{Path(place).resolve().name if machine.system.is_own else Path(place).name}"
    if machine.system.path(number).exists():
        return _on_crypt(machine, machine.system.path(number).resolve(), _DEEPEST)
    device = _device_of(machine, place)
    return device is not None and _on_crypt(
        machine, machine.system.path(f"/sys/dev/block/{device}").resolve(), _DEEPEST
    )


def _on_crypt(machine: Machine, block: Path, depth: int) -> bool:
    try:
        kind = machine.system.read(block / "dm/uuid")
    except OSError:
        kind = ""
    if kind.startswith("CRYPT-"):
        return True
    below = sorted((block / "slaves").glob("*")) if depth else []
    return bool(below) and all(_on_crypt(machine, each.resolve(), depth - 1) for each in below)


def _device_of(machine: Machine, place: str) -> str | None:
    """`major:minor` of the file system that a path lies on."""
    best, device = "", None
    for line in (machine.read("/proc/self/mountinfo") or "").splitlines():
        fields = line.split()
        if len(fields) < 5:
            continue
        point = fields[4]
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, device = point, fields[2]
    return device

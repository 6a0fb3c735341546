"""What this process holds: its own memory, the pages of the model's file, and the most that both ever were."""

import re
from dataclasses import dataclass
from pathlib import Path

_STATUS, _MAPS, _FORGET = Path("/proc/self/status"), Path("/proc/self/smaps"), Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # Documentation/filesystems/proc.rst


@dataclass(frozen=True)
class ProcessMemory:
    """In bytes; what a graphics processor has of its own is in none of them."""

    peak_bytes: int
    """The most that was resident at one time, the model's pages and Python included."""
    anonymous_bytes: int
    """Now, without any file: repacked weights, cache, compute buffers."""
    file_bytes: int
    """Pages of the model's file that are resident now."""


def forget_peak() -> None:
    """Let the peak begin anew, where the system allows it."""
    try:
        _FORGET.write_text(_FORGET_PEAK)
    except OSError:
        return


def read_memory(model: Path) -> ProcessMemory | None:
    """None where the system does not say."""
    try:
        status, maps = _STATUS.read_text("utf-8"), _MAPS.read_text("utf-8", "replace")
    except OSError:
        return None
    peak, anonymous = (_kib(status, name) for name in ("VmHWM", "RssAnon"))
    if peak is None or anonymous is None:
        return None
    return ProcessMemory(peak, anonymous, resident_bytes(maps, str(model.resolve())))


def resident_bytes(maps: str, path: str) -> int:
    """Of all mappings of the file `path` in the text of /proc/self/smaps."""
    total, inside = 0, False
    for line in maps.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(f" {path}")
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def _kib(text: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return None if found is None else int(found[1]) * 1024

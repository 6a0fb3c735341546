"""How much memory this process may still take."""

from pathlib import Path

import psutil


def free_memory_bytes(root: Path = Path("/")) -> int:
    """What the machine has available, or what its control group still allows this process, whichever is less."""
    free = int(psutil.virtual_memory().available)
    limits = [limit - used for limit, used in _group_limits(root)]
    return max(0, min([free, *limits]))


def _group_limits(root: Path) -> list[tuple[int, int]]:
    """(memory.max, memory.current) of this process's control group and of those above it, version 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    found = []
    for group in (line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        folder = root / "sys/fs/cgroup" / group
        for each in (folder, *folder.parents):
            if each == root / "sys/fs":
                break
            try:
                limit = (each / "memory.max").read_text("utf-8").strip()
                found.append((int(limit), int((each / "memory.current").read_text("utf-8"))))
            except (OSError, ValueError):
                continue  # "max" where there is no limit
    return found

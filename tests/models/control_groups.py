"""The files of a control group."""

from pathlib import Path


def control_group(root: Path, limit: str, used: int) -> Path:
    """Files below `root` as a control group with this limit and use has them."""
    folder = root / "sys/fs/cgroup/system.slice/bedside.service"
    folder.mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/system.slice/bedside.service\n")
    (folder / "memory.max").write_text(limit + "\n")
    (folder / "memory.current").write_text(f"{used}\n")
    return root

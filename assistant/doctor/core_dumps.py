"""Whether a crash could leave a copy of memory, with what was asked, on the disk."""

import resource

import psutil

from assistant.doctor.line import Line, ok, warning
from assistant.doctor.machine import Machine
from assistant.doctor.server import listening_process

_NAME = "Core dumps"


def check_core_dumps(machine: Machine) -> list[Line]:
    """The limit of this program, and of the servers that run."""
    pids = [pid for path in machine.sockets() if (pid := listening_process(path)) not in (None, 1)]
    limits = {pid: _limit(pid) for pid in pids if pid is not None}
    dumping = [pid for pid, limit in limits.items() if limit]
    hidden = [f"; of the server {pid} only root can tell" for pid, limit in limits.items() if limit is None]
    handler = machine.read("/proc/sys/kernel/core_pattern") or "core"
    where = f"go to {handler[1:].split()[0]}" if handler.startswith("|") else f"are written as {handler}"
    if dumping:
        remedy = f"end that server and start it again\nkill {dumping[0]}"
        return [warning(_NAME, f"those of the server {dumping[0]} {where}, and would hold what was asked", remedy)]
    if resource.getrlimit(resource.RLIMIT_CORE)[0]:
        remedy = "switch them off for this shell\nulimit -c 0"
        return [warning(_NAME, f"they {where}, and would hold what was asked", remedy)]
    return [ok(_NAME, f"Bedside's programs leave none{''.join(hidden)}")]


def _limit(pid: int) -> int | None:
    """Bytes that a process may dump; None where that may not be looked at."""
    try:
        return psutil.Process(pid).rlimit(psutil.RLIMIT_CORE)[0]
    except (psutil.Error, OSError):
        return None

"""All checks of a machine, at once: one that fails or hangs costs its own line and no other."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from assistant.doctor.board import check_board, check_clock, check_power_meter, check_readable
from assistant.doctor.core_dumps import check_core_dumps
from assistant.doctor.data import check_disk, check_history, check_libraries, check_store
from assistant.doctor.engine_library import check_engine_library, check_python
from assistant.doctor.line import Line, fault
from assistant.doctor.machine import Machine
from assistant.doctor.model import check_model
from assistant.doctor.offline import check_offline
from assistant.doctor.server import check_servers
from assistant.doctor.swap import check_swap
from assistant.doctor.unit import check_unit

DEADLINE_S = 20.0
"""No check waits longer; together they take a second or two where nothing hangs."""


@dataclass(frozen=True)
class Check:
    """What looks, and where its lines stand in the report."""

    group: str
    name: str
    """Of its line where it fails."""
    look: Callable[[Machine], list[Line]]
    of_files: bool = False
    """Whether it reads nothing but the machine's files, so that it can look at those of another machine."""


CHECKS = (
    Check("Machine", "Files", check_readable, of_files=True),
    Check("Machine", "Board", check_board, of_files=True),
    Check("Machine", "Clock", check_clock, of_files=True),
    Check("Machine", "Power meter", check_power_meter, of_files=True),
    Check("Machine", "Disk", check_disk),
    Check("Program", "Python", check_python),
    Check("Program", "llama.cpp", check_engine_library),
    Check("Program", "Model", check_model),
    Check("Program", "Models", check_store),
    Check("Service", "Service", check_unit),
    Check("Service", "Server", check_servers),
    Check("Data", "Libraries", check_libraries),
    Check("Data", "History", check_history),
    Check("Privacy", "Swap", check_swap, of_files=True),
    Check("Privacy", "Core dumps", check_core_dumps),
    Check("Privacy", "Offline", check_offline),
)


@dataclass(frozen=True)
class Section:
    """Lines under one heading."""

    name: str
    lines: list[Line] = field(default_factory=list)


def examine(machine: Machine, checks: Sequence[Check] = CHECKS, deadline_s: float = DEADLINE_S) -> list[Section]:
    """Every check that this machine allows, all at once, in the order of the report."""
    chosen = [check for check in checks if check.of_files or machine.system.is_own]
    answers: list[SimpleQueue[list[Line]]] = [_begin(check, machine) for check in chosen]
    until = time.monotonic() + deadline_s
    sections: dict[str, Section] = {}
    for check, answer in zip(chosen, answers, strict=True):
        lines = _lines(check, answer, until, deadline_s)
        sections.setdefault(check.group, Section(check.group)).lines.extend(lines)
    return [section for section in sections.values() if section.lines]


def _begin(check: Check, machine: Machine) -> "SimpleQueue[list[Line]]":
    """As a daemon: what hangs in the kernel is left there, and the program ends without it."""
    answer: SimpleQueue[list[Line]] = SimpleQueue()

    def look() -> None:
        try:
            answer.put(check.look(machine))
        except Exception as error:  # the others are still worth having
            told = " ".join(str(error).split()) or "no reason given"
            answer.put([fault(check.name, f"the check failed ({type(error).__name__}: {told})", "report it")])

    threading.Thread(target=look, name=f"bedside-doctor-{check.name}", daemon=True).start()
    return answer


def _lines(check: Check, answer: "SimpleQueue[list[Line]]", until: float, deadline_s: float) -> list[Line]:
    try:
        return answer.get(timeout=max(0.001, until - time.monotonic()))
    except Empty:
        told = f"no answer within {deadline_s:g} s"
        return [fault(check.name, told, "look whether a disk, a device or a server hangs\nsudo dmesg | tail")]

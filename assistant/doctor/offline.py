"""What keeps libraries off the network: variables that the program sets for itself and for what it starts."""

import os

from assistant.doctor.line import Line, fault, ok
from assistant.doctor.machine import Machine
from assistant.surroundings import OFFLINE, QUIET


def check_offline(machine: Machine) -> list[Line]:
    """Whether they are set here, as in every command but `bedside models`."""
    wanted = {**OFFLINE, **QUIET}
    missing = [name for name, value in wanted.items() if os.environ.get(name) != value]
    if missing:
        remedy = f"start it as the command does\nexport {' '.join(f'{name}={wanted[name]}' for name in missing)}"
        return [fault("Offline", f"not set: {', '.join(missing)}", remedy)]
    return [ok("Offline", "libraries are kept off the network; proof: bedside doctor --egress")]

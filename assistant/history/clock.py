"""Whether the clock can be believed: boards have no battery clock, and wake up in the past."""

import ctypes
from pathlib import Path
from typing import Literal

Clock = Literal["synchronised", "unsynchronised", "unknown"]
_SYNCHRONISED = "run/systemd/timesync/synchronized"
_REQUEST_BYTES = 1024  # more than the kernel's `struct timex` has anywhere; all zero asks and changes nothing
_NOT_SYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
MACHINE = Path("/")


def clock_state(root: Path = MACHINE) -> Clock:
    """What systemd-timesyncd says of it, else the kernel, which any time service tells; below another root, only files."""
    if (root / _SYNCHRONISED).exists():
        return "synchronised"
    return _kernel_says() if root == MACHINE else "unknown"


def _kernel_says() -> Clock:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_REQUEST_BYTES))
    except (AttributeError, OSError):
        return "unknown"
    if state < 0:
        return "unknown"
    return "unsynchronised" if state == _NOT_SYNCHRONISED else "synchronised"

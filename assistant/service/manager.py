"""systemd's own programs, run and read."""

import subprocess
from collections.abc import Mapping, Sequence

from assistant.errors import ServiceError
from assistant.plaintext import plain_line
from assistant.service.units import SERVICE

_LONGEST_S = 900.0
"""A model that loads from a slow card."""
_FACTS = (
    "LoadState",
    "ActiveState",
    "SubState",
    "StatusText",
    "Result",
    "NRestarts",
    "MemoryCurrent",
    "MemoryMax",
    "ActiveEnterTimestamp",
    "InactiveEnterTimestamp",
)


def run(command: Sequence[str]) -> str:
    """What a program of the system prints. Raises ServiceError with its own last words where it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise ServiceError(f"{command[0]} is not on this machine; the service needs systemd 249 or newer") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"`{' '.join(command[:3])}` gives no answer ({type(error).__name__})") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise ServiceError(f"`{' '.join(command[:3])}` failed: {plain_line(said[0])}")
    return done.stdout


def service_facts() -> Mapping[str, str]:
    """What systemd knows of the service, by its own names; one that it does not have is empty. Raises ServiceError."""
    told = run(("systemctl", "show", SERVICE, f"--property={','.join(_FACTS)}"))
    return {**dict.fromkeys(_FACTS, ""), **dict(line.split("=", 1) for line in told.splitlines() if "=" in line)}

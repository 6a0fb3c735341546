"""The service manager that has started this server: sockets that it opened, and what it wants to be told.

systemd's two protocols, sd_listen_fds(3) and sd_notify(3). Where nobody asks to be told, nothing is.
"""

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass

from assistant.errors import ServeError

_FIRST_DESCRIPTOR = 3
_PINGS = 4
"""In the time after which it believes the server dead."""
_STALLS = 3
"""So many of those times the engine may take for one piece of work: a board that reads weights from its card again is slow."""


def inherited_sockets(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets that this process was started with, in their order; the variables go, since they are its own.

    Raises ServeError for one that cannot be served on.
    """
    process, count, names = (environment.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if process != str(os.getpid()) or not count.isdigit():
        return []
    told = [*names.split(":"), *("" for _ in range(int(count)))]
    return [_adopted(_FIRST_DESCRIPTOR + place, told[place]) for place in range(int(count))]


def _adopted(descriptor: int, name: str) -> socket.socket:
    what = f"descriptor {descriptor} ({name or 'unnamed'}) of the service manager"
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ServeError(f"{what} is no socket ({error.strerror}); list sockets only in bedside.socket") from error
    found.set_inheritable(False)
    listens = found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens or found.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        raise ServeError(f"{what} is no listening stream socket; give it as ListenStream=, with Accept=no")
    if found.family == socket.AF_UNIX and not os.fsencode(found.getsockname()).startswith(b"/"):
        raise ServeError(f"{what} has no path whose permissions could guard it; give ListenStream= a path")
    return found


@dataclass(frozen=True)
class Supervisor:
    """Told how the server is."""

    address: str | None = None
    """Its datagram socket: a path, or a name behind `@` without a file; None where nobody wants to be told."""
    watchdog_s: float | None = None
    """The server is killed where it says nothing for so long."""

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> "Supervisor":
        """The one that the variables name; they go, since they are this process's own."""
        address = environment.pop("NOTIFY_SOCKET", None)
        process, limit_us = environment.pop("WATCHDOG_PID", None), environment.pop("WATCHDOG_USEC", "")
        is_watched = limit_us.isdigit() and int(limit_us) > 0 and process in (None, str(os.getpid()))
        return cls(address, int(limit_us) / 1e6 if is_watched else None)

    def tell(self, *assignments: str) -> None:
        """Send `NAME=value` lines. One that does not hear them is not waited for, and none of its faults is ours."""
        if self.address is None:
            return
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(assignments).encode(), name)

    async def watch(self, stalled_s: Callable[[], float]) -> None:
        """Ping while the event loop that runs this turns, and the engine moves on, as `stalled_s` tells."""
        while self.watchdog_s is not None:
            if stalled_s() < _STALLS * self.watchdog_s:
                self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / _PINGS)

"""The counter: every frame on everything but the loopback, and every name asked for, on the loopback too.

A machine's resolver may sit on the loopback and do the asking itself, outside: so a name server of our own listens there,
which counts and refuses.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

from assistant.doctor.egress.frames import DNS_PORT, asked_name, describe
from assistant.doctor.egress.result import Packet
from assistant.doctor.egress.way_out import OUT, sent_packets

_EVERY_KIND = 0x0003
_OUTGOING = 4
_REFUSED = 0x8185  # an answer, that recursion was wanted and is there, refused
_See = Callable[[socket.socket, bytes, Any], None]


class Counter:
    """Counts from `with` on, in threads of its own."""

    def __init__(self) -> None:
        self._packets: list[Packet] = []
        self.kernel_packets = 0
        """Frames that the kernel sent of itself."""
        self._frames = 0
        self._sent_before = 0
        self._stack = ExitStack()

    def __enter__(self) -> "Counter":
        line = self._stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_KIND)))
        line.bind((OUT, 0))
        self._sent_before = sent_packets()
        self._watch(line, self._see_frame)
        for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with suppress(OSError):  # a kernel without IPv6
                asked = self._stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                if family == socket.AF_INET6:
                    asked.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                asked.bind((everywhere, DNS_PORT))
                self._watch(asked, self._see_query)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def so_far(self) -> tuple[Packet, ...]:
        """What programs sent, in order."""
        return tuple(self._packets)

    def unseen(self) -> int:
        """Packets that the kernel sent by the way out and this counter did not see."""
        return max(0, sent_packets() - self._sent_before - self._frames)

    def _watch(self, source: socket.socket, see: _See) -> None:
        threading.Thread(target=self._read, args=(source, see), name="bedside-counter", daemon=True).start()

    def _read(self, source: socket.socket, see: _See) -> None:
        with suppress(OSError):  # it was closed
            while True:
                data, sender = source.recvfrom(65536)
                see(source, data, sender)

    def _see_frame(self, _source: socket.socket, frame: bytes, sender: Any) -> None:
        if sender[2] != _OUTGOING:
            return
        self._frames += 1
        told = describe(frame)
        if told is None:
            self.kernel_packets += 1
        else:
            self._packets.append(Packet(told))

    def _see_query(self, source: socket.socket, query: bytes, sender: Any) -> None:
        self._packets.append(Packet(f"a name server on this machine (asks for {asked_name(query)})"))
        with suppress(OSError, struct.error):
            source.sendto(query[:2] + struct.pack("!H", _REFUSED) + query[4:], sender)

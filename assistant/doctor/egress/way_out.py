"""A way out of an empty network: a pair of virtual cables with addresses and default routes, made by netlink.

Packets can leave by it as they would by a real one, and fall off its other end. It has no ARP, so that a packet to
anywhere leaves at once. No program is needed for it: neither `ip` nor `nft`.
"""

import errno
import socket
import struct
from contextlib import suppress

OUT, _OTHER_END = "bedside0", "bedside1"
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_ERROR = 2
_REQUEST, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 0x001, 0x004, 0x200, 0x400
_UP, _NO_ARP = 0x1, 0x80
_NAME, _LINK_INFO, _FAMILIES = 3, 18, 26
_KIND, _DATA, _PEER = 1, 2, 1
_ADDRESS_MODE, _NO_ADDRESS = 8, 1
_LOCAL, _ADDRESS = 2, 1
_NO_DUPLICATE_CHECK = 0x02
_GOES_BY = 4
_TABLE_MAIN, _BOOT, _SCOPE_LINK, _UNICAST = 254, 3, 253, 1
_ADDRESSES = ((socket.AF_INET, "192.0.2.1", 24), (socket.AF_INET6, "2001:db8::1", 64))
"""Of the ranges for documentation, which nobody has."""
_NO_IPV6 = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EACCES, errno.EINVAL, errno.EPERM)


def make_way_out() -> None:
    """Bring up the loopback, and the cables with a route to everywhere. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        _link(kernel, 0, _UP, "lo")
        peer = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _text(_NAME, _OTHER_END)
        info = _text(_KIND, "veth") + _attribute(_DATA, _attribute(_PEER, peer))
        _link(kernel, _CREATE | _EXCLUSIVE, 0, OUT, _attribute(_LINK_INFO, info))
        for name in (OUT, _OTHER_END):
            _silence(kernel, name)
        _link(kernel, 0, _UP, _OTHER_END)
        _link(kernel, 0, _UP | _NO_ARP, OUT)
        index = socket.if_nametoindex(OUT)
        for family, address, bits in _ADDRESSES:
            try:
                _address(kernel, index, family, address, bits)
                _route(kernel, index, family)
            except OSError as error:
                if family == socket.AF_INET or error.errno not in _NO_IPV6:
                    raise


def _link(kernel: socket.socket, how: int, flags: int, name: str, attributes: bytes = b"") -> None:
    index = 0
    if not how:
        index = socket.if_nametoindex(name)
    _ask(kernel, _NEW_LINK, how, struct.pack("=BxHiII", 0, 0, index, flags, flags) + _text(_NAME, name) + attributes)


def _silence(kernel: socket.socket, name: str) -> None:
    """No address of IPv6's own making, about which the kernel would talk to the other end."""
    mode = _attribute(_ADDRESS_MODE, struct.pack("=B", _NO_ADDRESS))
    with suppress(OSError):  # a kernel without IPv6 has nothing to say
        _link(kernel, 0, 0, name, _attribute(_FAMILIES, _attribute(socket.AF_INET6, mode)))


def _address(kernel: socket.socket, index: int, family: int, address: str, bits: int) -> None:
    packed = socket.inet_pton(family, address)
    body = struct.pack("=BBBBi", family, bits, _NO_DUPLICATE_CHECK if family == socket.AF_INET6 else 0, 0, index)
    _ask(kernel, _NEW_ADDRESS, _CREATE | _EXCLUSIVE, body + _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed))


def _route(kernel: socket.socket, index: int, family: int) -> None:
    scope = _SCOPE_LINK if family == socket.AF_INET else 0
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _TABLE_MAIN, _BOOT, scope, _UNICAST, 0)
    _ask(kernel, _NEW_ROUTE, _CREATE | _EXCLUSIVE, body + _attribute(_GOES_BY, struct.pack("=i", index)))


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _ask(kernel: socket.socket, kind: int, how: int, body: bytes) -> None:
    """One request, and the kernel's answer to it. Raises OSError."""
    kernel.sendall(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACKNOWLEDGE | how, 1, 0) + body)
    answer = kernel.recv(65536)
    if struct.unpack_from("=H", answer, 4)[0] == _ERROR:
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number:
            raise OSError(number, errno.errorcode.get(number, str(number)))


def sent_packets() -> int:
    """What the kernel counts as sent by the way out. Raises OSError."""
    with open("/proc/self/net/dev", encoding="ascii") as table:  # noqa: PTH123
        rows = (line.partition(":") for line in table)
        return next(int(counts.split()[9]) for name, _, counts in rows if name.strip() == OUT)

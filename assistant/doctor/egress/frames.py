"""Where a frame was going, in words; and which ones are the kernel's own."""

import ipaddress
import struct

_PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_ICMP6, _HOP_BY_HOP, _IGMP = 58, 0, 2
_KERNEL_ICMP6 = (130, 131, 132, 133, 135, 136, 143)
"""Groups, routers, neighbours."""
DNS_PORT = 53


def describe(frame: bytes) -> str | None:
    """`tcp 203.0.113.1:443` of a frame of Ethernet; None for what the kernel sends of itself."""
    kind = struct.unpack_from("!H", frame, 12)[0] if len(frame) >= 14 else 0
    if kind == _IPV4 and len(frame) >= 34:
        protocol, start = frame[23], 14 + (frame[14] & 15) * 4
        return None if protocol == _IGMP else _told(protocol, frame[30:34], frame[start:])
    if kind == _IPV6 and len(frame) >= 54:
        protocol, start = frame[20], 54
        if protocol == _HOP_BY_HOP and len(frame) >= 62:  # before a report on groups
            protocol, start = frame[54], 54 + 8 + frame[55] * 8
        if protocol == _ICMP6 and len(frame) > start and frame[start] in _KERNEL_ICMP6:
            return None
        return _told(protocol, frame[38:54], frame[start:])
    return None if kind == _ARP else f"a frame of kind {kind:#06x}"


def _told(protocol: int, address: bytes, rest: bytes) -> str:
    name, to = _PROTOCOLS.get(protocol, f"protocol {protocol}"), str(ipaddress.ip_address(address))
    if name not in ("tcp", "udp") or len(rest) < 4:
        return f"{name} {to}"
    port = struct.unpack_from("!H", rest, 2)[0]
    shown = f"{name} [{to}]:{port}" if ":" in to else f"{name} {to}:{port}"
    asked = asked_name(rest[8:]) if name == "udp" and port == DNS_PORT else ""
    return f"{shown} (asks for {asked})" if asked else shown


def asked_name(query: bytes) -> str:
    """The name in a query to a name server; empty where there is none."""
    labels, place = [], 12
    while place < len(query) and 0 < query[place] < 64:
        labels.append(query[place + 1 : place + 1 + query[place]].decode("ascii", "replace"))
        place += 1 + query[place]
    return "".join(character for character in ".".join(labels) if character.isprintable())[:100]

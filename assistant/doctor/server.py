"""The servers that this user's programs would find: do they answer, who may ask them, over which doors, with which key."""

import grp
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from importlib.metadata import version
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import psutil

from assistant.client.connection import Connection
from assistant.client.sockets import answers
from assistant.doctor.line import Line, fault, ok, warning
from assistant.doctor.machine import Machine
from assistant.doctor.unit import main_process
from assistant.errors import ServerError

_SERVER, _SOCKET, _KEY = "Server", "Socket", "Key"
_TAKEN_AGAIN = "take it away; a server that is started there would do so itself\nrm {path}"


def check_servers(machine: Machine) -> list[Line]:
    """One server after the other: its state, its socket, its doors on the network."""
    found = machine.sockets()
    if not found:
        return [ok(_SERVER, "none runs; `bedside ask` and `bedside chat` start one when they need it")]
    return [line for path in found for line in _server(machine, path)]


def _server(machine: Machine, path: Path) -> Iterator[Line]:
    if not os.access(path, os.R_OK | os.W_OK):
        yield fault(_SOCKET, f"{_owner(path)}: this user may not use it", _join_group(path))
        return
    if not answers(path):
        yield warning(
            _SOCKET, f"nobody listens on {path}: a server that was killed left it", _TAKEN_AGAIN.format(path=path)
        )
        return
    yield _state(path)
    yield _permissions(path)
    yield from _doors(machine, path)


def _state(path: Path) -> Line:
    again = f"end it and start it again\n{_restart(path)}"
    with Connection("http://bedside", path) as connection:
        if not connection.is_ready():
            return warning(
                _SERVER, f"the one on {path} has not loaded its model", "wait, then look again\nbedside doctor"
            )
        try:
            model, program = connection.model(), connection.program_version()
        except ServerError as error:
            return fault(_SERVER, str(error), again)
    own = version("bedside")
    if program != own:
        told = f"version {program}" if program else "an older version"
        return warning(_SERVER, f"{model} is served by {told}, this program is {own}", again)
    return ok(_SERVER, f"{model} is served by version {program}")


def _restart(path: Path) -> str:
    pid = listening_process(path)
    return "sudo systemctl restart bedside.service" if path.parent.name == "bedside" or pid is None else f"kill {pid}"


def _permissions(path: Path) -> Line:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        return fault(_SOCKET, f"{_owner(path)}: everybody on this machine may ask", f"close it\nchmod 660 {path}")
    folder = path.parent.stat()
    if folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX:
        found = f"others can write to {path.parent}, and put a socket of theirs in its place"
        return fault(_SOCKET, found, f"close it\nchmod go-w {path.parent}")
    return ok(_SOCKET, _owner(path))


def _owner(path: Path) -> str:
    found = path.stat()
    try:
        user, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        user, group = str(found.st_uid), str(found.st_gid)
    return f"{path}, {user}:{group} {stat.S_IMODE(found.st_mode):o}"


def _join_group(path: Path) -> str:
    try:
        group = grp.getgrgid(path.stat().st_gid).gr_name
    except (KeyError, OSError):
        group = "bedside"
    return f"join its group, then log in again\nsudo usermod --append --groups {group} $USER"


def listening_process(path: Path) -> int | None:
    """Who made the socket that listens there, as the kernel says it; None where it does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return None
    return int(pid) or None


def _doors(machine: Machine, path: Path) -> Iterator[Line]:
    """What it listens on besides, and whether a key is asked for there."""
    pid = listening_process(path)
    if pid == 1:
        pid = main_process(machine)
    if pid is None:
        return
    try:
        process = psutil.Process(pid)
        arguments, connections = process.cmdline(), process.net_connections("inet")
    except psutil.Error:
        yield ok(_KEY, f"process {pid} belongs to another user: run this as root to see its doors on the network")
        return
    doors = [(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN]
    for host, port in sorted(set(doors)):
        yield check_door(host, port)
    yield from _key_file(arguments, process)


def check_door(host: str, port: int) -> Line:
    """Whether who reaches this address is asked for a key."""
    address = ip_address(host)
    reached = f"[{host}]" if address.version == 6 else host
    if address.is_unspecified:
        reached = "[::1]" if address.version == 6 else "127.0.0.1"
    shown = f"{reached if not address.is_unspecified else host}:{port}"
    try:
        with Connection(f"http://{reached}:{port}") as connection:
            asks = connection.asks_for_key()
    except ServerError as error:
        return warning(_KEY, f"{shown} is listened on, and {error}", "look again\nbedside doctor")
    if asks:
        return ok(_KEY, f"asked for on {shown}")
    if address.is_loopback:
        return ok(_KEY, f"none on {shown}, which only programs of this machine reach")
    found = f"{shown} answers other machines without a key"
    return fault(_KEY, found, "end that server; start it with a key, or without --host\nbedside serve --key-file FILE")


def _key_file(arguments: list[str], process: psutil.Process) -> Iterator[Line]:
    named = [after for before, after in pairwise(arguments) if before == "--key-file"]
    named += [argument.partition("=")[2] for argument in arguments if argument.startswith("--key-file=")]
    for name in named[-1:]:
        try:
            path = Path(process.cwd()) / name
            mode = stat.S_IMODE(path.stat().st_mode)
        except (OSError, psutil.Error) as error:
            yield warning(
                _KEY, f"its file {name} cannot be looked at ({type(error).__name__})", f"see who owns it\nls -l {name}"
            )
            continue
        if mode & 0o077:
            yield fault(
                _KEY, f"others may read {path} (mode {mode:o})", f"close it, and change the key\nchmod 600 {path}"
            )
        else:
            yield ok(_KEY, f"{path}, mode {mode:o}")

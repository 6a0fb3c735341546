"""`bedside serve`: sockets, the model, and an end that lets running answers finish."""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import ServeError

if TYPE_CHECKING:
    from assistant.ask.model_choice import ChosenModel

_SHORTEST_KEY = 16


_Port = Annotated[
    int | None, typer.Option(metavar="N", min=0, max=65535, help="Listen on TCP as well.", show_default=False)
]
_Socket = Annotated[
    Path | None,
    typer.Option("--socket", metavar="PATH", help="The unix socket.  [default: the user's own]", show_default=False),
]
_KeyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A file with the key that TCP clients must send.", show_default=False),
]
_Context = Annotated[
    int, typer.Option(metavar="N", min=256, help="Tokens that they share; of an embedding model, those of one text.")
]
_Warm = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A system message that your application sends: kept on disk once read, ready after a restart.",
        show_default=False,
    ),
]

_Meter = Annotated[
    Path | None,
    typer.Option(
        "--meter",
        metavar="PATH",
        help="Your own meter at the supply, by its folder in /sys/class/hwmon.",
        show_default=False,
    ),
]
_Contacts = Annotated[
    Path | None,
    typer.Option(
        "--contacts",
        metavar="FILE",
        help="Your numbers for a patient at risk of self-harm.  [default: crisis-contacts.toml in the data folder]",
        show_default=False,
    ),
]


def serve(  # noqa: PLR0917  (Typer makes an option of each)
    model: Annotated[
        str | None,
        typer.Option(
            metavar="ID|FILE",
            help="A model of your store, or a GGUF file, for good.  [default: what `bedside switch` chose, or reference]",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="Address for --port; any but the loopback needs a key. Requests must name it, or this machine.",
        ),
    ] = "127.0.0.1",
    port: _Port = None,
    socket_path: _Socket = None,
    key_file: _KeyFile = None,
    parallel: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Answers at once.")] = 4,
    context: _Context = 8192,
    idle_exit: Annotated[float | None, typer.Option(hidden=True, min=1)] = None,
    cache_mib: Annotated[
        int, typer.Option(metavar="N", min=0, help="Memory for prompts that made room for others, in MiB.")
    ] = 256,
    warm: _Warm = None,
    precise: Annotated[
        bool, typer.Option("--precise", help="Attention in float32: exact log probabilities, slower, a larger cache.")
    ] = False,
    meter: _Meter = None,
    contacts: _Contacts = None,
) -> None:
    """Serve a model to local applications of clinicians: OpenAI's API on a unix socket, and on TCP with --port.

    Started by systemd with sockets, it listens on those.
    """
    messages = tuple(_read_message(path) for path in warm or ())
    sizes = _Sizes(parallel, context, cache_mib * 2**20, messages, precise)
    _serve(model, _Doors(host, port, socket_path, key_file, idle_exit), sizes, meter, contacts)


@dataclass(frozen=True)
class _Doors:
    """Where to listen, and for how long."""

    host: str
    port: int | None
    socket: Path | None
    key_file: Path | None
    idle_exit_s: float | None


@dataclass(frozen=True)
class _Sizes:
    """What the engine may take."""

    sequences: int
    context_tokens: int
    cache_bytes: int
    kept_prompts: tuple[str, ...]
    precise: bool


def _serve(model: str | None, doors: _Doors, sizes: _Sizes, meter: Path | None, contacts_file: Path | None) -> None:
    from assistant.ask.model_choice import choose_model, choose_served
    from assistant.engine.loaded import EngineSettings
    from assistant.safety.contacts import read_contacts
    from assistant.server.app import create_app
    from assistant.server.door import LOCAL_HOSTS, DoorRules
    from assistant.server.listening import run_server
    from assistant.server.supervisor import Supervisor, inherited_sockets
    from device.monitor import Monitor
    from models.grounding import SYSTEM_PLAIN, SYSTEM_UNTRUSTED

    supervisor, inherited = Supervisor.of(os.environ), inherited_sockets(os.environ)
    key = None if doors.key_file is None else _read_key(doors.key_file)
    if doors.port is not None and doors.host not in LOCAL_HOSTS and key is None:
        raise ServeError(f"{doors.host} can be reached from other machines; give --key-file, or leave --host out")
    _check_inherited(inherited, doors, key)
    contacts = read_contacts(contacts_file)
    monitor = Monitor(meter=meter)
    supervisor.tell("STATUS=checking the model")
    chosen = choose_served() if model is None else choose_model(model)
    kept = (*sizes.kept_prompts, SYSTEM_UNTRUSTED, SYSTEM_PLAIN)
    settings = EngineSettings(**{**asdict(sizes), "kept_prompts": kept})
    rules = DoorRules(key, _names(doors.host, inherited))
    app = create_app(chosen, settings, rules, monitor, contacts, follows_choice=model is None)
    with _listening(doors, inherited) as (paths, sockets):
        _announce(chosen, paths, sockets, key)
        run_server(app, sockets, doors.idle_exit_s, supervisor)


def _check_inherited(inherited: Sequence[socket.socket], doors: _Doors, key: str | None) -> None:
    """Raise ServeError where what systemd has opened contradicts the command line, or would let anybody in."""
    if inherited and (doors.port is not None or doors.socket is not None):
        raise ServeError("systemd has opened the sockets already; leave --port and --socket out, change bedside.socket")
    for each in inherited:
        if each.family != socket.AF_UNIX and key is None:
            raise ServeError(f"systemd listens on {_address(each)}, where a service asks for a key; give --key-file")


def _names(host: str, inherited: Sequence[socket.socket]) -> tuple[str, ...]:
    """What the server may be called over TCP."""
    from assistant.server.door import names_of

    hosts = [host, *(each.getsockname()[0] for each in inherited if each.family != socket.AF_UNIX)]
    return tuple(dict.fromkeys(name for each in hosts for name in names_of(each)))


@contextmanager
def _listening(
    doors: _Doors, inherited: Sequence[socket.socket]
) -> Iterator[tuple[Sequence[Path], Sequence[socket.socket]]]:
    """Unix sockets' paths, and the sockets that systemd has opened, else our own; the file of the latter goes at the end."""
    from assistant.client.sockets import user_socket
    from assistant.server.listening import remove_socket, tcp_socket, unix_socket

    if inherited:
        yield [Path(each.getsockname()) for each in inherited if each.family == socket.AF_UNIX], inherited
        return
    path = doors.socket or user_socket()
    tcp = [] if doors.port is None else [tcp_socket(doors.host, doors.port)]
    unix = unix_socket(path)
    own = path.stat().st_ino
    try:
        yield [path], [unix, *tcp]
    finally:
        remove_socket(path, own)


def _announce(chosen: "ChosenModel", paths: Sequence[Path], sockets: Sequence[socket.socket], key: str | None) -> None:
    from assistant.client.answer import INTENDED_USE
    from assistant.server.door import ALL_ADDRESSES, LOCAL_HOSTS

    told = "; ".join(filter(None, (INTENDED_USE, chosen.notice)))
    print(f"serving {chosen.name}{''.join(f' on {path}' for path in paths)} - {told}", file=sys.stderr)
    for each in (each for each in sockets if each.family != socket.AF_UNIX):
        host = each.getsockname()[0]
        asked = "with the key" if key is not None else "without a key"
        print(f"and on http://{_address(each)}, {asked}", file=sys.stderr)
        if host not in LOCAL_HOSTS:
            reach = "every network of this machine" if host in ALL_ADDRESSES else f"the network of {host}"
            print(f"{reach} can reach it, and what is asked and answered crosses that unencrypted", file=sys.stderr)


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read_message(path: Path) -> str:
    try:
        return path.read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"cannot read the system message in {path} ({error}); check the file") from error


def _read_key(path: Path) -> str:
    try:
        key, mode = path.read_text("utf-8").strip(), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"cannot read the key in {path} ({error}); check the file") from error
    if len(key) < _SHORTEST_KEY:
        raise ServeError(f"the key in {path} has {len(key)} characters; use {_SHORTEST_KEY} or more")
    if not (key.isascii() and key.isprintable()):
        raise ServeError(f"the key in {path} is not one line of ASCII characters, as a header takes it; write another")
    if mode & 0o077:
        print(f"others may read the key in {path}; run chmod 600 on it", file=sys.stderr)
    return key

"""A server that a service manager has started: its sockets, what it tells, and when it stops saying that it lives."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import pytest

from assistant.engine.request import Request, Ticket
from assistant.server.supervisor import Supervisor, inherited_sockets
from models.runtime.model import Model
from models.runtime.sampler import SamplingOptions
from tests.assistant.conftest import IGNORED
from tests.assistant.engine.conftest import open_context, prompt_of, scheduler_on
from tests.assistant.server.conftest import KEY

WATCHDOG_S = 0.4
SERVE = ("-m", "assistant", "serve")
ADOPT = ("-c", "import os; from assistant.server.supervisor import inherited_sockets as f; f(os.environ)")
# As systemd does it: the sockets from descriptor 3 on, and the process id that they are for.
LAUNCH = 'export LISTEN_PID=$$; exec "$@" {redirections}'


@dataclass(frozen=True)
class Manager:
    """The socket that a service manager listens on."""

    heard: socket.socket

    def next(self, timeout_s: float = 30) -> list[str]:
        """The lines of the next message; none where none comes in time."""
        return self.heard.recv(4096).decode().splitlines() if select.select([self.heard], [], [], timeout_s)[0] else []

    def until(self, line: str) -> list[list[str]]:
        """All messages up to the one with this line."""
        messages: list[list[str]] = []
        while line not in (message := self.next()):
            assert message, f"{line} has not come after {messages}"
            messages.append(message)
        return [*messages, message]


def launch(environment: dict[str, str], sockets: Sequence[socket.socket], *arguments: str) -> "subprocess.Popen[str]":
    passed = [each.fileno() for each in sockets]
    redirections = " ".join(f"{3 + place}<&{descriptor}" for place, descriptor in enumerate(passed))
    server = [sys.executable, *IGNORED, *arguments]
    return subprocess.Popen(
        ["bash", "-c", LAUNCH.format(redirections=redirections), "bash", *server],
        env={**environment, "LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join("b" for _ in passed)},
        pass_fds=passed,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def manager() -> Iterator[Manager]:
    """On a name without a file, as systemd may choose it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0bedside-test-{os.getpid()}")
        yield Manager(heard)


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "b.sock"))
        listening.listen()
        yield listening


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    return path


def test_it_serves_on_every_socket_it_is_given_and_tells_how_it_is(
    environment: dict[str, str],
    manager: Manager,
    unix: socket.socket,
    tcp: socket.socket,
    key_file: Path,
) -> None:
    told = {
        "NOTIFY_SOCKET": "@" + manager.heard.getsockname()[1:].decode(),
        "WATCHDOG_USEC": "1000000",
    }
    server = launch({**environment, **told}, [unix, tcp], *SERVE, "--key-file", str(key_file))
    path, url = unix.getsockname(), f"http://127.0.0.1:{tcp.getsockname()[1]}"
    loading = manager.until("READY=1")
    assert loading == [
        ["STATUS=checking the model"],
        ["STATUS=loading reference"],
        ["READY=1", "STATUS=serving reference"],
    ]
    started = time.monotonic()
    assert [manager.next() for _ in range(4)] == [["WATCHDOG=1"]] * 4
    assert time.monotonic() - started < 2  # three quarters of a second, on a machine that does nothing else
    with httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://bedside") as local:
        assert local.get("/v1/models").status_code == 200
    bearer = {"Authorization": f"Bearer {KEY}"}
    for headers, path_asked, status in (
        ({}, "/health", 200),
        ({}, "/v1/models", 401),
        (bearer, "/v1/models", 200),
        ({**bearer, "Host": "rebound.example"}, "/v1/models", 400),
        ({**bearer, "Origin": "http://rebound.example"}, "/v1/models", 403),
    ):
        assert httpx.get(url + path_asked, headers=headers).status_code == status
    server.send_signal(signal.SIGTERM)
    assert "STOPPING=1" in manager.until("STOPPING=1")[-1]
    _, said = server.communicate(timeout=30)
    assert (server.returncode, said.count("\n")) == (0, 2)
    assert f"serving reference on {path} - " in said
    assert f"and on {url}, with the key" in said
    assert Path(path).is_socket()  # it is the service manager's, who listens on while the server is away


def test_a_model_that_cannot_be_loaded_is_told_as_well(
    environment: dict[str, str], manager: Manager, unix: socket.socket
) -> None:
    told = {"NOTIFY_SOCKET": "@" + manager.heard.getsockname()[1:].decode()}
    server = launch({**environment, **told}, [unix], *SERVE, "--cache-mib", "99999999")
    stopping = manager.until("STOPPING=1")
    assert not any("READY=1" in message for message in stopping)
    _, said = server.communicate(timeout=30)
    assert server.returncode == 1
    assert manager.next() == [f"STATUS={said.splitlines()[-1].removeprefix('error: ')}"]


@pytest.mark.parametrize("watchdog_s", [None, WATCHDOG_S])
def test_the_variables_are_its_own_and_go(manager: Manager, watchdog_s: float | None) -> None:
    path = "@" + manager.heard.getsockname()[1:].decode()
    limit = {} if watchdog_s is None else {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": str(os.getpid())}
    environment = {"NOTIFY_SOCKET": path, "PATH": "/bin", **limit}
    assert Supervisor.of(environment) == Supervisor(path, watchdog_s)
    assert environment == {"PATH": "/bin"}
    assert Supervisor.of({**limit, "WATCHDOG_PID": "1"}).watchdog_s is None


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    for address in (None, str(tmp_path / "nobody"), "@" + "x" * 300):
        Supervisor(address).tell("READY=1")


def test_an_engine_that_is_stuck_ends_the_pings(manager: Manager, tiny_model: Path) -> None:
    """The engine's own thread is held up in telling somebody of his answer: the event loop turns all the while."""
    held, released = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        if threading.current_thread().name == "bedside-engine":
            held.set()
            released.wait(60)

    supervisor = Supervisor("@" + manager.heard.getsockname()[1:].decode(), WATCHDOG_S / 2)

    async def watch_until(done: threading.Event) -> None:
        watching = asyncio.create_task(supervisor.watch(scheduler.progress.stalled_s))
        while not done.is_set():
            await asyncio.sleep(0.01)
        watching.cancel()

    with Model.load(tiny_model) as model, open_context(model, 5) as context, scheduler_on(context) as scheduler:
        over = threading.Event()
        looping = threading.Thread(target=lambda: asyncio.run(watch_until(over)))
        looping.start()
        try:
            assert [manager.next(5) for _ in range(8)] == [["WATCHDOG=1"]] * 8  # it rests
            scheduler.submit(Ticket(Request(prompt_of(model, "Croup"), 8, SamplingOptions()), hold))
            assert held.wait(30)
            stuck = time.monotonic()
            while manager.next(3 * WATCHDOG_S):
                assert time.monotonic() - stuck < 10 * WATCHDOG_S
            released.set()
            assert manager.next(30) == ["WATCHDOG=1"]
        finally:
            released.set()
            over.set()
            looping.join()


def refusal(environment: dict[str, str], sockets: Sequence[socket.socket], *arguments: str) -> str:
    """The last line of what such a process says."""
    started = launch(environment, sockets, *arguments)
    _, said = started.communicate(timeout=30)
    assert started.returncode == 1
    return str(said.splitlines()[-1])


def test_tcp_without_a_key_is_refused(environment: dict[str, str], tcp: socket.socket) -> None:
    address = f"127.0.0.1:{tcp.getsockname()[1]}"
    said = refusal(environment, [tcp], *SERVE)
    assert said == f"error: systemd listens on {address}, where a service asks for a key; give --key-file"


def test_sockets_of_ones_own_beside_them_are_refused(environment: dict[str, str], unix: socket.socket) -> None:
    said = refusal(environment, [unix], *SERVE, "--port", "0")
    assert said.startswith("error: systemd has opened the sockets already; leave --port and --socket out")


def test_what_cannot_be_served_on_is_refused(
    environment: dict[str, str], manager: Manager, unix: socket.socket
) -> None:
    said = refusal(environment, [unix, manager.heard], *ADOPT)
    assert "descriptor 4 (b) of the service manager is no listening stream socket" in said
    with socket.socket(socket.AF_UNIX) as nameless:
        nameless.bind(f"\0bedside-test-{os.getpid()}-listens")
        nameless.listen()
        assert "has no path whose permissions could guard it" in refusal(environment, [nameless], *ADOPT)


def test_sockets_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "b", "PATH": "/bin"}
    assert inherited_sockets(environment) == []
    assert environment == {"PATH": "/bin"}

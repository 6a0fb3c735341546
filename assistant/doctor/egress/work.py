"""The whole service at work, by its own commands and its own client: what could send something is made to run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2 as httpx

from assistant.client.connection import Connection
from assistant.doctor.egress.result import Work
from assistant.doctor.egress.screen import ask_on_a_screen
from assistant.errors import ProofError, ServerError
from assistant.surroundings import OFFLINE, QUIET

_QUESTION = "How is croup treated?"
_TOKENS = 16
_COMMAND_S, _START_S, _END_S = 180.0, 300.0, 30.0
_POLL_S = 0.05
_BENCH = (
    "import sys; from pathlib import Path; from device.bench.command import Wanted, bench; "
    "from device.bench.settings import Settings; "
    "bench(Wanted(sys.argv[1], None, 0.0, False), "
    "Settings(answers=5, prompt_tokens=8, tokens=4, idle_s=1.0, settle_s=0.0, least_s=0.1), "
    "meter=None, jtop=False, out=Path(sys.argv[2]), as_json=True)"
)
"""`bedside device bench` would measure for minutes; this is the same code with fewer and shorter answers."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Served:
    """A running `bedside serve`: its socket, and its address on the loopback."""

    socket: Path
    url: str


def surroundings(folder: Path) -> dict[str, str]:
    """What the commands are started with: none of the variables that they have to set for themselves, no history of the user."""
    kept = {name: value for name, value in os.environ.items() if name not in {**OFFLINE, **QUIET}}
    return {
        **kept,
        "XDG_RUNTIME_DIR": str(folder),
        "BEDSIDE_HISTORY": str(folder / "history"),
        "TERM": "xterm-256color",
    }


def do_everything(model: str, folder: Path, say: Say) -> Iterator[Work]:
    """One after the other, with what went wrong; a server that does not start ends it with a ProofError."""
    yield from serve_and_ask(model, folder, say)
    say("device bench")
    yield _tried("device bench", partial(_bench, model, folder, surroundings(folder)))


def serve_and_ask(model: str, folder: Path, say: Say) -> Iterator[Work]:
    """A server, what its clients ask of it, and the commands beside it."""
    environment = surroundings(folder)
    say("starting the server")
    with _serving(model, folder, environment) as served:
        for what, piece in (
            ("an answer streamed", lambda: _stream(Connection("http://bedside", served.socket))),
            ("one over TCP", lambda: _stream(Connection(served.url))),
            ("state, metrics and device read", lambda: _read_pages(served)),
            ("libraries searched", lambda: _search(served)),
        ):
            say(what)
            yield _tried(what, piece)
        commands = {
            "ask": ["ask", "--json", _QUESTION],
            "knowledge search": ["knowledge", "search", "croup", "--json"],
            "redflags": ["redflags", "chest pain and sweating", "--json"],
            "models list": ["models", "list"],
            "device": ["device", "--json"],
            "doctor": ["doctor", "--json", "--model", model],
        }
        for what, arguments in commands.items():
            say(what)
            yield _tried(what, partial(_run, arguments, environment))
        say("chat")
        yield _tried("chat", lambda: ask_on_a_screen(_QUESTION, environment))


def _tried(what: str, piece: Callable[[], None]) -> Work:
    try:
        piece()
    except (
        ProofError,
        ServerError,
        httpx.HTTPError,
        OSError,
        ValueError,
        KeyError,
        subprocess.TimeoutExpired,
    ) as error:
        return Work(what, " ".join(str(error).split()) or type(error).__name__)
    return Work(what)


@contextmanager
def _serving(model: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Served]:
    path = folder / "bedside.sock"
    command = [sys.executable, "-m", "assistant", "serve", "--model", model, "--socket", str(path), "--port", "0"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        said = [process.stderr.readline(), process.stderr.readline()]
        url = next((word.rstrip(",") for word in said[1].split() if word.startswith("http://")), None)
        if url is None:
            raise ProofError(f"not proven: the server did not start ({' '.join(said).strip() or 'it said nothing'})")
        _wait_until_ready(path, process)
        yield Served(path, url)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        process.kill()
        process.wait()
        process.stderr.close()


def _wait_until_ready(path: Path, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + _START_S
    with Connection("http://bedside", path) as connection:
        while not connection.is_ready():
            if process.poll() is not None or time.monotonic() > until:
                raise ProofError("not proven: the server did not load its model; see what bedside serve says")
            time.sleep(_POLL_S)


def _stream(opened: Connection) -> None:
    with opened as connection:
        body = {
            "model": connection.model(),
            "max_tokens": _TOKENS,
            "messages": [{"role": "user", "content": _QUESTION}],
        }
        if not list(connection.chat(body)):
            raise ProofError("the answer had no chunks")


def _read_pages(served: Served) -> None:
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60.0) as client:
        for path in ("/health", "/ready", "/metrics", "/v1/models", "/v1/device", "/openapi.json"):
            client.get(path).raise_for_status()


def _search(served: Served) -> None:
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60.0) as client:
        found = client.post("/v1/knowledge/search", json={"query": "croup", "k": 3})
        if not found.raise_for_status().json()["results"]:
            raise ProofError("nothing was found")


def _run(arguments: list[str], environment: Mapping[str, str]) -> None:
    _finished(
        [sys.executable, "-m", "assistant", *arguments], environment, (0, 1) if arguments[0] == "doctor" else (0,)
    )


def _bench(model: str, folder: Path, environment: Mapping[str, str]) -> None:
    quiet = {**environment, **OFFLINE, **QUIET}  # as the command would have set them
    _finished([sys.executable, "-c", _BENCH, model, str(folder / "bench")], quiet, (0,))


def _finished(command: list[str], environment: Mapping[str, str], well: tuple[int, ...]) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    if done.returncode not in well:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ProofError(lines[-1])
    if "--json" in command:
        json.loads(done.stdout)

"""`bedside serve` in a process of its own, and real clients of it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest

from tests.assistant.conftest import IGNORED

KEY = "a-key-of-the-tests-0123456789"


@dataclass(frozen=True)
class Served:
    """One running server."""

    socket: Path
    url: str
    process: "subprocess.Popen[str]"

    def local(self) -> httpx.Client:
        """A client on the unix socket."""
        return httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://bedside", timeout=60)

    def openai(self) -> Any:
        """Untyped: its overloads want TypedDicts where the tests send plain JSON."""
        return openai.OpenAI(base_url="http://bedside/v1", api_key="none", http_client=self.local(), max_retries=0)


def start(folder: Path, environment: dict[str, str], *arguments: str) -> Served:
    """Start a server and wait until its model is loaded."""
    path = folder / "b.sock"
    command = [sys.executable, *IGNORED, "-m", "assistant", "serve", "--socket", str(path), "--port", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    lines = [process.stderr.readline(), process.stderr.readline()]
    assert f"on {path}" in lines[0], lines
    if "0.0.0.0" in arguments:
        assert "every network of this machine can reach it" in process.stderr.readline()
    served = Served(path, lines[1].split()[2].rstrip(","), process)
    with served.local() as client:
        for _ in range(600):
            if client.get("/ready").status_code == 200:
                return served
            assert process.poll() is None
            time.sleep(0.1)
    raise AssertionError("the model was not loaded within a minute")


def stop(running: Served) -> None:
    """End it as systemd does."""
    running.process.terminate()
    _, said = running.process.communicate(timeout=30)
    assert (running.process.returncode, said) == (0, "")
    assert not running.socket.exists()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("served"), environment)
    yield running
    stop(running)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Served]:
    """A server on all addresses of this machine."""
    folder = tmp_path_factory.mktemp("everywhere")
    (folder / "key").write_text(KEY + "\n")
    (folder / "key").chmod(0o600)
    running = start(folder, environment, "--host", "0.0.0.0", "--key-file", str(folder / "key"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Served]:
    """A server that asks TCP clients for a key."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "key").write_text(KEY + "\n")
    (folder / "key").chmod(0o600)
    running = start(folder, environment, "--key-file", str(folder / "key"))
    yield running
    stop(running)

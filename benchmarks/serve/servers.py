"""Starting Bedside and its peers on a free port, each until its block ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEERS = Path("build/peers")
SPAN = 8192
"""Tokens of context, which all sequences share."""
_START_S = 300


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def bedside(path: Path, *arguments: str, parallel: int = 4, home: Path | None = None) -> Iterator[Server]:
    """`bedside serve` of this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        command = [sys.executable, "-m", "assistant", "serve", "--model", str(path), "--port", str(port)]
        sizes = ["--parallel", str(parallel), "--context", str(SPAN), "--socket", f"{folder}/s", *arguments]
        environment = {**os.environ, "BEDSIDE_HOME": str(home or folder)}
        with _running("bedside", [*command, *sizes], port, "/ready", environment) as server:
            yield server


@contextmanager
def llama_server(path: Path, *, parallel: int = 4, threads: int | None = None) -> Iterator[Server]:
    """llama-server with its own defaults; RAM cache off, since each prompt is new and ours pays nothing for it either."""
    port = _free_port()
    command = [str(PEERS / "cmake/bin/llama-server"), "--model", str(path), "--port", str(port), "--no-webui"]
    sizes = ["--parallel", str(parallel), "--ctx-size", str(SPAN), "--kv-unified", "--threads", str(threads or cores())]
    with _running("llama-server", [*command, *sizes], port, "/health", dict(os.environ)) as server:
        yield server


@contextmanager
def python_server(path: Path) -> Iterator[Server]:
    """llama-cpp-python's own server."""
    port = _free_port()
    command = [str(PEERS / "venv/bin/python"), "-m", "llama_cpp.server", "--model", str(path), "--port", str(port)]
    sizes = ["--n_ctx", str(SPAN), "--n_threads", str(cores()), "--interrupt_requests", "False"]
    with _running("llama_cpp.server", [*command, *sizes], port, "/v1/models", dict(os.environ)) as server:
        yield server


@contextmanager
def example_server(path: Path, *, parallel: int = 16) -> Iterator[Server]:
    """The server among llama-cpp-python's examples."""
    port = _free_port()
    model = {
        "path": str(path),
        "alias": "model",
        "n_ctx": SPAN,
        "n_seq_max": parallel,
        "n_batch": 512,
        "n_ubatch": 512,
        "threads": cores(),
        "threads_batch": cores(),
        "kv_unified": True,
        "store_logits": False,
    }
    settings = {"server": {"host": "127.0.0.1", "port": port}, "model": model}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.json"
        file.write_text(json.dumps(settings))
        script = next(PEERS.glob("llama_cpp_python-*/examples/server/server.py"))
        command = [str(PEERS / "venv/bin/python"), str(script), "-C", str(file)]
        with _running("examples/server", command, port, "/v1/models", dict(os.environ)) as server:
            yield server


def llama_bench(path: Path, prompt_tokens: int, decode_tokens: int) -> tuple[float, float]:
    """Prompt and decode tokens per second, one run of each after llama-bench's own warm-up."""
    command = [str(PEERS / "cmake/bin/llama-bench"), "-m", str(path), "-t", str(cores()), "-r", "1", "-o", "json"]
    counts = ["-p", str(prompt_tokens), "-n", str(decode_tokens)]
    done = subprocess.run([*command, *counts], check=True, capture_output=True, text=True)
    found: dict[bool, float] = {bool(row["n_gen"]): float(row["avg_ts"]) for row in json.loads(done.stdout)}
    return found[False], found[True]


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _running(name: str, command: Sequence[str], port: int, ready: str, environment: dict[str, str]) -> Iterator[Server]:
    log: Any
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url + ready, name, log)
            yield Server(name, url, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", url: str, name: str, log: Any) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"{name} ended with {process.returncode}: {log.read()[-2000:].decode(errors='replace')}")
        try:
            with urllib.request.urlopen(url, timeout=5) as found:
                if found.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{name} was not ready within {_START_S} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

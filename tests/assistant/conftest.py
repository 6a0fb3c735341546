"""Real parts made small: the starter library, a synthetic GGUF, and the command in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from assistant.knowledge.index import Index
from assistant.knowledge.installed import Shelf
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import TINY

# llama-cpp-python opens /dev/null when it is imported and never closes it.
IGNORED = ["-W", "ignore::ResourceWarning"]

Bedside = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def index() -> Index:
    return Shelf().index(["starter"])


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights: it answers nonsense (at most 256 tokens), but through every real part."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    return write_gguf(path, replace(TINY, context=1024, vocab_size=1024))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Private servers listen in a folder of this test run, and end with it."""
    home, runtime = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("run")
    yield {
        **os.environ,
        "BEDSIDE_HOME": str(home),
        "BEDSIDE_LIBRARIES": str(home / "system"),
        "XDG_RUNTIME_DIR": str(runtime),
        "OMP_NUM_THREADS": "1",
    }
    for process in psutil.process_iter(["cmdline"]):
        if any(str(runtime) in argument for argument in process.info["cmdline"] or ()):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def bedside(environment: dict[str, str]) -> Bedside:
    """Runs `bedside ARGUMENTS` and returns what it printed and its exit code."""

    def run(*arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-W", "error", *IGNORED, "-m", "assistant", *arguments]
        return subprocess.run(
            command, env=environment, input=stdin or "", capture_output=True, text=True, timeout=60, check=False
        )

    return run

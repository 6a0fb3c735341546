"""Ctrl-C: the command ends at once with 130, while the model reads as well as while it writes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.assistant.conftest import IGNORED
from tests.assistant.test_retrieval import UTI_QUESTION

SLOW = Shape(
    vocab_size=1024, hidden_size=1024, layers=30, ffn_size=4096, heads=16, kv_heads=4, head_dim=64, context=2048
)


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 450 M parameters in Q4_0: seconds for a prompt, and more for an answer."""
    return write_gguf(tmp_path_factory.mktemp("slow") / "slow.gguf", SLOW, "q4_0")


def start(model: Path, environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", *IGNORED, "-m", "assistant", "ask", "--model", str(model), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupt(process: "subprocess.Popen[str]") -> tuple[float, str, str]:
    """Seconds until the process has ended, and what it printed."""
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return time.monotonic() - started, out, err


def test_while_writing(slow_model: Path, environment: dict[str, str]) -> None:
    process = start(slow_model, environment, "--knowledge", "off", "fever")
    assert process.stdout is not None
    first = process.stdout.read(1)
    elapsed_s, out, err = interrupt(process)
    assert (process.returncode, err) == (130, "")
    assert elapsed_s < 1.0
    assert (first + out).endswith("\n")
    assert "Evidence" not in out


def test_when_the_reader_leaves(slow_model: Path, environment: dict[str, str]) -> None:
    process = start(slow_model, environment, "--knowledge", "off", "fever")
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(timeout=10) == 1
        assert process.stderr.read() == ""


def test_while_reading_the_prompt(slow_model: Path, environment: dict[str, str]) -> None:
    process = start(slow_model, environment, "--json", UTI_QUESTION)
    time.sleep(2.0)
    assert process.poll() is None
    elapsed_s, out, err = interrupt(process)
    assert (process.returncode, out, err) == (130, "", "")
    assert elapsed_s < 1.0

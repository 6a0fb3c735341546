"""Another model in a running server: it is taken, or refused and the old one serves on, and never are both in memory."""

import asyncio
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from assistant.errors import LOADING
from assistant.server.errors import ApiError
from assistant.server.gate import Gate
from models.resolve import resolve_gguf
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import TINY
from tests.assistant.conftest import IGNORED
from tests.assistant.server.conftest import Served, start

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Switchable:
    """A server, and the data folder that its choice of model is in."""

    served: Served
    environment: dict[str, str]

    def switch(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        with self.switching(*arguments) as running:
            said, told = running.communicate(timeout=60)
            return subprocess.CompletedProcess((), running.returncode, said, told)

    def switching(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, *IGNORED, "-m", "assistant", "switch", "--socket", str(self.served.socket)]
        return subprocess.Popen(
            [*command, *arguments],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def model(self) -> str:
        with self.served.local() as client:
            return str(client.get("/v1/models").json()["data"][0]["id"])

    def answers(self) -> bool:
        with self.served.local() as client:
            asked = client.post(CHAT, json={"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3})
            return asked.status_code == 200

    @property
    def choice(self) -> Path:
        return Path(self.environment["BEDSIDE_HOME"]) / "served" / "model.json"


def begin(folder: Path, environment: dict[str, str], *arguments: str) -> Switchable:
    own = {**environment, "BEDSIDE_HOME": str(folder)}
    return Switchable(start(folder, own, *arguments), own)


def end(switchable: Switchable) -> None:
    switchable.served.process.terminate()
    _, said = switchable.served.process.communicate(timeout=30)
    assert switchable.served.process.returncode == 0
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model."""
    return write_gguf(tmp_path_factory.mktemp("other") / "other.gguf", replace(TINY, context=1024, vocab_size=1024))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Switchable]:
    """Serves the reference model before and after each test."""
    running = begin(tmp_path_factory.mktemp("switching"), environment)
    yield running
    end(running)


@contextmanager
def repeating(look: Callable[[], Any]) -> Iterator[list[Any]]:
    """What `look` finds again and again for as long as the block lasts."""
    found: list[Any] = []
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            found.append(look())
            time.sleep(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def mapped(server: psutil.Process, names: set[str]) -> frozenset[str]:
    """Which of the files the server or a process of its own holds in memory."""
    found = set()
    for process in (server, *server.children()):
        with suppress(OSError, psutil.Error):
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            found |= {name for name in names if name in maps}
    return frozenset(found)


def test_the_model_is_changed_and_brought_back_and_never_are_two_in_memory(serving: Switchable, other: Path) -> None:
    reference, server = str(resolve_gguf("reference")), psutil.Process(serving.served.process.pid)
    with repeating(lambda: mapped(server, {reference, str(other)})) as in_memory:
        done = serving.switch(str(other))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("serving other.gguf in place of reference;")
    assert {frozenset({reference}), frozenset({str(other)}), frozenset()} == set(in_memory)
    assert (serving.model(), serving.answers()) == ("other.gguf", True)
    assert json.loads(serving.choice.read_bytes())["now"]["name"] == str(other)
    done = serving.switch("--rollback")
    assert (done.returncode, serving.model(), serving.answers()) == (0, "reference", True)


def test_running_answers_finish_and_new_requests_are_told_to_come_again(serving: Switchable, other: Path) -> None:
    def ask() -> tuple[int, str | None, str, float]:
        with serving.served.local() as client:
            found = client.post("/tokenize", json={"prompt": "croup"})
            return found.status_code, found.headers.get("retry-after"), found.text, time.monotonic()

    def change() -> str:
        with serving.served.local() as client:
            return client.post("/v1/model", json={"model": str(other)}).text

    body = {"messages": [{"role": "user", "content": "What is croup?"}], "max_tokens": 800, "stream": True}
    running = {**body, "logit_bias": {"2": -100}, "stream_options": {"include_usage": True}}
    with serving.served.local() as client, client.stream("POST", CHAT, json=running) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        with repeating(ask) as asked, ThreadPoolExecutor(1) as beside:
            switched = beside.submit(change)
            chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
            finished_at = time.monotonic()
            assert '"model":"other.gguf"' in switched.result()
    assert chunks[-1]["usage"]["completion_tokens"] == 800
    refused = [(retry, LOADING in text, at) for status, retry, text, at in asked if status == 503]
    assert {status for status, *_ in asked} <= {200, 503}
    assert ask()[0] == 200
    assert {(retry, told) for retry, told, _ in refused} == {("2", True)}
    assert refused
    assert refused[0][-1] < finished_at
    assert serving.switch("--rollback").returncode == 0


def test_a_change_goes_on_where_the_one_who_asked_leaves(serving: Switchable, other: Path) -> None:
    with serving.switching(str(other)) as switching:
        assert switching.stderr is not None
        while "letting" not in (line := switching.stderr.readline()):
            assert line
        switching.kill()
    for _ in range(300):
        if serving.model() == "other.gguf":
            break
        time.sleep(0.05)
    assert serving.switch("--rollback").stdout.startswith("serving reference in place of other.gguf")


def not_finite(path: Path) -> None:
    """Weights that are no numbers: the file loads, and what it writes means nothing."""
    data = bytearray(path.read_bytes())
    data[-4000:] = struct.pack("<f", float("nan")) * 1000
    path.write_bytes(data)


def repeated_tokens(path: Path) -> None:
    """llama.cpp ends its process on a vocabulary in which tokens are alike."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 16
    for _ in range(300):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        data[at + 8 : at + 8 + length] = b"x" * length
        at += 8 + length
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (not_finite, "no finite probabilities"),
        (repeated_tokens, r"makes llama.cpp crash (SIGABRT)"),
        (cut_off, "get the file again"),
    ],
    ids=["not finite", "aborts", "cut off"],
)
def test_a_file_that_fails_leaves_the_old_model_serving(
    spoil: Callable[[Path], None], reason: str, serving: Switchable, other: Path
) -> None:
    bad, before = other.with_name("bad.gguf"), serving.choice.read_bytes()
    bad.write_bytes(other.read_bytes())
    spoil(bad)
    done = serving.switch(str(bad))
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert reason in done.stderr
    assert (serving.model(), serving.answers()) == ("reference", True)
    assert serving.choice.read_bytes() == before


def test_what_can_be_refused_beforehand_is_while_the_old_model_serves(serving: Switchable, other: Path) -> None:
    command = [sys.executable, *IGNORED, "-m", "assistant", "models", "import", str(other), "--id", "stored"]
    subprocess.run(command, env=serving.environment, check=True, capture_output=True, timeout=60)
    path = serving.choice.parent.parent / "models" / "stored" / "other.gguf"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    done = serving.switch("stored")
    assert done.returncode == 1
    assert "is not as it was stored" in done.stderr
    assert "letting running answers finish" not in done.stderr
    assert "is served already" in serving.switch("reference").stderr
    assert serving.answers()


def test_only_the_owner_of_the_server_may_change_its_model(serving: Switchable, other: Path) -> None:
    body = {"model": str(other)}
    refused = httpx.post(f"{serving.served.url}/v1/model", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_owner")
    if os.geteuid() == 0:
        assert ask_as_nobody(serving.served, body) == 403
    assert serving.model() == "reference"


def test_a_change_lasts_and_a_server_killed_in_the_middle_of_one_starts_with_the_old_model(
    tmp_path: Path, environment: dict[str, str], other: Path
) -> None:
    first = begin(tmp_path, environment)
    assert "no model was served before this one" in first.switch("--rollback").stderr
    assert first.switch(str(other)).returncode == 0
    with first.switching("--rollback") as switching:
        assert switching.stderr is not None
        while "trying reference" not in (line := switching.stderr.readline()):
            assert line
        first.served.process.kill()
        assert "started again it serves the model before" in switching.stderr.read()
        assert switching.wait(30) == 1
    first.served.process.communicate()
    again = begin(tmp_path, environment)
    assert (again.model(), again.answers()) == ("other.gguf", True)
    end(again)


def ask_as_nobody(served: Served, body: dict[str, str]) -> int:
    """The status that another user who may connect to the socket is answered with."""
    served.socket.chmod(0o666)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        reachable = Path(folder) / "s"
        reachable.hardlink_to(served.socket)
        code = (
            "import http.client, json, socket, sys\n"
            "asking = http.client.HTTPConnection('bedside')\n"
            "asking.sock = socket.socket(socket.AF_UNIX); asking.sock.connect(sys.argv[1])\n"
            "asking.request('POST', '/v1/model', sys.argv[2], {'Content-Type': 'application/json'})\n"
            "print(asking.getresponse().status)"
        )
        command = ["/usr/bin/env", "python3", "-I", "-c", code, str(reachable), json.dumps(body)]
        done = subprocess.run(command, user=65534, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


def test_a_server_that_was_told_its_model_keeps_it(
    tmp_path: Path, environment: dict[str, str], tiny_model: Path, other: Path
) -> None:
    told = begin(tmp_path, environment, "--model", str(tiny_model))
    done = told.switch(str(other))
    assert (done.returncode, told.model()) == (1, "tiny.gguf")
    assert "was started with --model and keeps it" in done.stderr
    end(told)


def test_a_chosen_model_that_is_gone_is_told_with_what_brings_the_server_up(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    choice = {"now": {"name": "/nowhere/gone.gguf", "sha256": None}, "before": None}
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "model.json").write_text(json.dumps(choice))
    command = [sys.executable, *IGNORED, "-m", "assistant", "serve", "--socket", str(tmp_path / "b.sock")]
    own = {**environment, "BEDSIDE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "/nowhere/gone.gguf does not exist: check the path" in done.stderr
    assert "served/model.json names it; without that file the reference model is served" in done.stderr


def test_the_gate_waits_for_who_is_inside_and_ends_who_stays_too_long() -> None:
    async def scenario() -> None:
        gate, ended = Gate(), []

        async def request(length_s: float) -> None:
            with gate.passing(CHAT):
                try:
                    await asyncio.sleep(length_s)
                finally:
                    ended.append(length_s)

        tasks = [asyncio.create_task(request(length_s)) for length_s in (0.05, 60.0)]
        await asyncio.sleep(0)
        gate.close()
        with pytest.raises(ApiError), gate.passing(CHAT):
            pass
        with gate.passing("/health"):
            pass
        assert not await gate.wait_until_empty(0.5)
        assert ended == [0.05]
        await gate.empty()
        assert ended == [0.05, 60.0]
        gate.open()
        gate.check()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())

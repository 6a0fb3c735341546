"""Killed at any moment, as by a user, the watchdog or the kernel that is out of memory: what was kept stays, and it begins again.

The kernel sends SIGKILL, too; what comes before it, no more memory given, is tested with a limit.
"""

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from assistant.client.connection import Connection
from assistant.errors import ServerError
from assistant.knowledge.adding import read_sources
from assistant.knowledge.checking import find_faults
from assistant.knowledge.installed import library_file
from assistant.server.errors import api_error
from benchmarks.pseudo_terminal import terminal
from tests.assistant.conftest import IGNORED
from tests.assistant.server.conftest import Served, start, stop

CHAT = "/v1/chat/completions"
TURNS = [{"role": "user", "content": "What is croup?"}]
LONG = {"messages": TURNS, "max_tokens": 1800, "logit_bias": {"2": -100}}
REFUSED_OR_DONE = {(503, "out_of_memory"), (400, "context_length_exceeded"), (200, None)}
SHORT = {"messages": TURNS, "max_tokens": 2}


ENDLESS_CLIENT = """
import json, sys
from assistant.client.connection import Connection
for _ in Connection(sys.argv[1]).chat(json.loads(sys.argv[2])):
    pass
"""


def running(served: Served) -> float:
    with served.local() as client:
        lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("bedside_running ")))


def until(what: str, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def short_of_memory(served: Served) -> None:
    """What it is asked is refused for want of memory, or not even taken; then it answers as before."""
    process = psutil.Process(served.process.pid)
    for missing in (2**26, 0):
        limit = process.memory_info().vms - missing
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        for size in (2**21, 2**14):
            turns = [{"role": "user", "content": "fever " * (size // 6)}]
            with suppress(httpx.HTTPError), served.local() as client:
                found = client.post(CHAT, json={"messages": turns, "bedside": {"knowledge": "on"}, "max_tokens": 2})
                code = found.json().get("error", {}).get("code")
                assert (found.status_code, code) in REFUSED_OR_DONE, found.text
    resource.prlimit(process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with served.local() as client:
        assert client.post(CHAT, json=SHORT).status_code == 200


def test_no_memory_is_a_reason_to_try_again_later() -> None:
    refusal = api_error(MemoryError())
    assert (refusal.status, refusal.code) == (503, "out_of_memory")


def test_a_server_short_of_memory_and_then_killed_in_the_middle_of_an_answer(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    first = start(tmp_path, environment)
    short_of_memory(first)
    with Connection("http://bedside", first.socket) as connection:
        chunks = connection.chat(LONG)
        next(chunks)
        first.process.kill()
        with pytest.raises(ServerError, match="ended in the middle of an answer; ask again"):
            list(chunks)
    _, said = first.process.communicate()
    assert "Traceback" not in said
    assert first.socket.exists()  # nobody was left to take it away
    second = start(tmp_path, environment)
    with second.local() as client:
        assert client.post(CHAT, json=SHORT).status_code == 200
    stop(second)


def test_clients_killed_in_the_middle_of_an_answer_give_their_place_back(
    served: Served, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, *IGNORED, "-c", ENDLESS_CLIENT, served.url, json.dumps(LONG)]
    with subprocess.Popen(command, env=environment) as asking:
        until("the question is worked on", lambda: running(served) > 0)
        asking.kill()
    until("the place is free", lambda: running(served) == 0)
    with terminal(tmp_path, "--url", served.url) as chat:
        chat.read_until("reference")
        chat.press("What is croup?")
        chat.press("\r")
        chat.process.kill()
    until("the place is free", lambda: running(served) == 0)
    assert served.process.poll() is None


def add(folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, *IGNORED, "-m", "assistant", "knowledge", "add", str(folder), "--library", "own"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kills(tmp_path: Path, environment: dict[str, str], count: int) -> None:
    """Each addition is larger than the last; whole ones only are ever seen, and what a killed one left goes."""
    papers, libraries = tmp_path / "papers", Path(environment["BEDSIDE_HOME"]) / "libraries"
    papers.mkdir()
    chance, path = random.Random(count), library_file(libraries, "own")
    started = time.monotonic()
    (papers / "0.md").write_text("# Gout\nColchicine.\n")
    assert add(papers, environment).wait(60) == 0
    usual_s, before = time.monotonic() - started, path.stat().st_ino
    for number in range(1, count + 1):
        text = "".join(f"# Gout {number}.{each}\nColchicine {each} helps against podagra.\n\n" for each in range(3000))
        (papers / f"{number}.md").write_text(text)
        with add(papers, environment) as adding:
            time.sleep(chance.uniform(0.3, 1.6) * usual_s)
            adding.kill()
        assert find_faults(path) == []
    assert add(papers, environment).wait(60) == 0
    assert len(read_sources(path)) == count + 1
    assert path.stat().st_ino != before
    assert {each.name for each in libraries.iterdir()} == {".lock", "own.sqlite3"}


def test_an_addition_killed_leaves_the_library_whole(tmp_path: Path, environment: dict[str, str]) -> None:
    kills(tmp_path, {**environment, "BEDSIDE_HOME": str(tmp_path / "home")}, 2)


@pytest.mark.slow
def test_many_additions_killed_leave_the_library_whole(tmp_path: Path, environment: dict[str, str]) -> None:
    kills(tmp_path, {**environment, "BEDSIDE_HOME": str(tmp_path / "home")}, 30)

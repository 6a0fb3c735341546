"""Starting, loading, draining, and what the sockets refuse."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.server.listening import unix_socket
from models.resolve import resolve_gguf
from tests.assistant.conftest import IGNORED, Bedside
from tests.assistant.server.conftest import Served, start, stop

CHAT = "/v1/chat/completions"
BEGUN_BODY = b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
LONG = {"messages": [{"role": "user", "content": "What is croup?"}], "max_tokens": 400, "logit_bias": {"2": -100}}


def test_a_server_that_is_told_to_end_finishes_what_it_began(tmp_path: Path, environment: dict[str, str]) -> None:
    served = start(tmp_path, environment)
    found: list[Any] = []

    def ask() -> None:
        with served.local() as client:
            found.append(client.post(CHAT, json=LONG))

    asking = threading.Thread(target=ask)
    asking.start()
    with served.local() as client:
        while "bedside_running 1.0" not in client.get("/metrics").text:
            time.sleep(0.01)
    stop(served)
    asking.join()
    assert found[0].status_code == 200
    assert found[0].json()["usage"]["completion_tokens"] == 400


def test_ctrl_c_ends_it_with_130_and_takes_the_socket_away(tmp_path: Path, environment: dict[str, str]) -> None:
    served = start(tmp_path, environment)
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(30) == 130
    assert served.process.stderr is not None
    served.process.stderr.close()
    assert not served.socket.exists()


def test_a_second_ctrl_c_does_not_wait_for_answers(tmp_path: Path, environment: dict[str, str]) -> None:
    served = start(tmp_path, environment)

    def ask() -> None:
        with served.local() as client, suppress(httpx.TransportError):
            client.post(CHAT, json=LONG)

    asking = threading.Thread(target=ask)
    asking.start()
    with served.local() as client:
        while "bedside_running 1.0" not in client.get("/metrics").text:
            time.sleep(0.01)
    while served.process.poll() is None:
        served.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    asking.join()
    assert served.process.returncode == 130
    assert served.process.stderr is not None
    assert "Traceback" not in served.process.stderr.read()
    served.process.stderr.close()
    assert not served.socket.exists()


def test_a_model_that_cannot_be_loaded_ends_it_with_one_line(
    tmp_path: Path, bedside: Bedside, tiny_model: Path
) -> None:
    bare = tmp_path / "cut.gguf"
    bare.write_bytes(tiny_model.read_bytes()[:-1000])
    done = bedside("serve", "--model", str(bare), "--socket", str(tmp_path / "b.sock"))
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "b.sock").exists()


def test_an_engine_that_fails_ends_it_with_one_line_once_all_are_told(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(resolve_gguf("reference").read_bytes())
    os.utime(path, ns=(0, 0))
    served = start(tmp_path, environment, "--model", str(path))
    with served.local() as client, client.stream("POST", CHAT, json={**LONG, "max_tokens": 1800, "stream": True}) as it:
        lines = it.iter_lines()
        next(line for line in lines if '"content":"' in line)
        os.utime(path)
        told = [line for line in lines if line]
    assert "m.gguf was written to while it was in use" in told[-1]
    assert told[-1].startswith('data: {"error"')
    _, said = served.process.communicate(timeout=30)
    assert served.process.returncode == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "m.gguf was written to while it was in use" in said
    assert not served.socket.exists()


def test_a_socket_in_use_is_refused_and_a_dead_one_replaced(
    tmp_path: Path, served: Served, bedside: Bedside, environment: dict[str, str]
) -> None:
    done = bedside("serve", "--socket", str(served.socket))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"cannot listen on {served.socket} (Address already in use); give another --socket" in done.stderr
    port = served.url.rpartition(":")[2]
    done = bedside("serve", "--socket", str(tmp_path / "x.sock"), "--port", port)
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use); give another --port" in done.stderr
    assert not (tmp_path / "x.sock").exists()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "b.sock"))
    stop(start(tmp_path, environment))


def test_a_socket_that_no_client_could_reach_is_refused(tmp_path: Path, bedside: Bedside) -> None:
    room = 107 - len(str(tmp_path)) - 1
    path = tmp_path / ("s" * (room + 1))
    done = bedside("serve", "--socket", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "has 108 bytes, 107 at most can be connected to; give a shorter --socket" in done.stderr
    assert not list(tmp_path.iterdir())
    listening = unix_socket(tmp_path / ("s" * room))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / ("s" * room)))
    listening.close()


def test_an_end_leaves_the_socket_of_its_successor(tmp_path: Path, environment: dict[str, str]) -> None:
    first = start(tmp_path, environment)
    first.socket.unlink()
    second = start(tmp_path, environment)
    first.process.terminate()
    assert first.process.communicate(timeout=30)[1] == ""
    with second.local() as client:
        assert client.get("/ready").status_code == 200
    stop(second)
    assert not list(tmp_path.iterdir())


def test_other_machines_are_let_in_with_a_key_only(tmp_path: Path, bedside: Bedside) -> None:
    done = bedside("serve", "--host", "0.0.0.0", "--port", "0", "--socket", str(tmp_path / "b.sock"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "0.0.0.0 can be reached from other machines; give --key-file" in done.stderr
    (tmp_path / "key").write_text("short")
    done = bedside("serve", "--key-file", str(tmp_path / "key"), "--socket", str(tmp_path / "b.sock"))
    assert "has 5 characters; use 16 or more" in done.stderr


@pytest.mark.parametrize("key", ["one-line-0123456789\nanother", "tabbed\t0123456789abcdef", "schlüssel-0123456789"])
def test_a_key_that_no_header_can_hold_is_refused(tmp_path: Path, bedside: Bedside, key: str) -> None:
    (tmp_path / "key").write_text(key + "\n", "utf-8")
    done = bedside("serve", "--key-file", str(tmp_path / "key"), "--socket", str(tmp_path / "b.sock"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"the key in {tmp_path / 'key'} is not one line of ASCII characters" in done.stderr


@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_key_that_others_may_read_is_told(tmp_path: Path, bedside: Bedside, mode: int, told: int) -> None:
    path = tmp_path / "key"
    path.write_text("a-key-0123456789")
    path.chmod(mode)
    done = bedside("serve", "--key-file", str(path), "--socket", str(tmp_path / ("s" * 108)))
    assert done.stderr.count(f"others may read the key in {path}; run chmod 600 on it\n") == told
    assert done.stderr.count("\n") == told + 1


def test_the_unix_socket_is_open_to_owner_and_group_only(served: Served) -> None:
    assert served.socket.stat().st_mode & 0o777 == 0o660


def test_slow_senders_are_cut_off_and_do_not_keep_others_out(served: Served) -> None:
    held = []
    for begun in (b"", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n", BEGUN_BODY) * 20:
        each = socket.socket(socket.AF_UNIX)
        each.connect(str(served.socket))
        each.sendall(begun)
        each.settimeout(30)
        held.append(each)
    with served.local() as client:
        assert client.get("/health").status_code == 200
        assert client.post(CHAT, json={**LONG, "max_tokens": 2}).status_code == 200
    for each in held:
        while each.recv(4096):  # ends where the server has closed
            pass
        each.close()


def test_the_second_request_of_a_connection_must_arrive_in_time_too(served: Served) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(served.socket))
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        client.settimeout(30)
        assert b"200 OK" in client.recv(4096)
        client.sendall(b"GET /health HTTP/1.1\r\nHost:")
        began = time.monotonic()
        while client.recv(4096):
            pass
        assert 5 < time.monotonic() - began < 20


def test_a_folder_that_others_may_write_to_is_refused(
    tmp_path: Path, bedside: Bedside, environment: dict[str, str]
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    command = [sys.executable, *IGNORED, "-m", "assistant", "serve"]
    done = subprocess.run(
        command, env={**environment, "XDG_RUNTIME_DIR": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"others can write to {folder}; set XDG_RUNTIME_DIR" in done.stderr


def test_a_connection_may_be_used_again(served: Served) -> None:
    with served.local() as client:
        for _ in range(3):
            assert client.get("/ready").status_code == 200


def test_a_system_message_is_warm_after_a_restart(tmp_path: Path, environment: dict[str, str]) -> None:
    system = "You answer for the night shift of a small ward. " * 12
    (tmp_path / "system.txt").write_text(system + "\n")
    own = {**environment, "BEDSIDE_HOME": str(tmp_path / "home")}
    cached = []
    for question in ("What is croup?", "What is asthma?"):
        running = start(tmp_path, own, "--warm", str(tmp_path / "system.txt"))
        turns = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        with running.local() as client:
            found = client.post(CHAT, json={"messages": turns, "max_tokens": 2}).json()
        cached.append(found["usage"]["prompt_tokens_details"]["cached_tokens"])
        total = found["usage"]["prompt_tokens"]
        stop(running)
    assert cached[0] == 0
    assert total - 12 < cached[1] < total

"""One private server for all of a user's programs, started when it is needed, gone when it is not."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from assistant.client import private
from assistant.client.connection import Connection
from assistant.client.finding import connect
from assistant.client.private import private_server
from assistant.errors import ServerError
from assistant.tui.link import Link
from models.errors import ModelFileError
from tests.assistant.conftest import IGNORED
from tests.assistant.server.conftest import start, stop

QUESTION = {"messages": [{"role": "user", "content": "What is croup?"}], "max_tokens": 4}


def servers(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or ()
        if "serve" in arguments and any(str(folder) in argument for argument in arguments):
            found.append(process)
    return found


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An own folder for sockets; what was started in it ends with the test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    for process in servers(tmp_path):
        process.terminate()
        process.wait(30)


def text(connection: Connection) -> str:
    chunks = list(connection.chat(QUESTION))
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def test_it_is_started_once_and_shared(runtime: Path) -> None:
    said: list[str] = []
    with private_server(None, said.append) as first, private_server("reference", said.append) as second:
        assert first.where == second.where
        assert text(first)
        assert text(second)
    assert said == ["starting the server", "loading the model"]
    (process,) = servers(runtime)
    assert {path.stat().st_mode & 0o077 for path in runtime.glob("*.log")} == {0}
    process.kill()
    process.wait(30)
    with private_server(None, said.append) as again:  # the socket of a killed one is left behind
        assert text(again)


# httpcore leaves the socket of a refused connection to the collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_one_that_is_about_to_end_is_replaced(runtime: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    said: list[str] = []
    with private_server(str(tiny_model), said.append) as first:
        (old,) = servers(runtime)
        ready = Connection.is_ready

        def ended(connection: Connection) -> bool:
            """Whoever looks whether it is ready finds that it has gone since he found its socket."""
            monkeypatch.setattr(Connection, "is_ready", ready)
            old.terminate()
            old.wait(30)
            return ready(connection)

        monkeypatch.setattr(Connection, "is_ready", ended)
        with private_server(str(tiny_model), said.append) as second:
            assert second.where == first.where
            assert text(second)
    assert said == ["starting the server", "loading the model"] * 2
    assert [process.pid for process in servers(runtime)] != [old.pid]
    gc.collect()


def test_one_that_never_listens_is_ended(runtime: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    monkeypatch.setattr(private, "_START_S", 0.01)
    with pytest.raises(ServerError, match=r"does not listen on .*\.sock within 0\.01 s; see .*\.log"):
        private_server(str(tiny_model), lambda _: None)
    assert not servers(runtime)


def test_one_that_cannot_be_started_is_said_and_ctrl_c_works_again(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ServerError, match=r"cannot start a server \(No such file"):
        private_server(str(tiny_model), lambda _: None)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_two_that_start_at_once_share_one(runtime: Path, tiny_model: Path) -> None:
    code = "from assistant.client.private import private_server; import sys; private_server(sys.argv[1], print).close()"
    command = [sys.executable, *IGNORED, "-c", code, str(tiny_model)]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert len(servers(runtime)) == 1


def test_what_keeps_it_from_starting_is_told(runtime: Path, tmp_path: Path, tiny_model: Path) -> None:
    damaged = tmp_path / "cut.gguf"
    damaged.write_bytes(tiny_model.read_bytes()[:-1000])
    with pytest.raises(ServerError, match=r"cut\.gguf"):
        private_server(str(damaged), lambda _: None)
    with pytest.raises(ModelFileError, match="does not exist"):
        private_server("/no/such.gguf", lambda _: None)
    assert not servers(runtime)


def test_nothing_of_the_askers_folder_is_imported_and_no_file_of_his_kept_open(
    runtime: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fastapi.py").write_text("raise SystemExit('a stranger's code ran')")
    (tmp_path / "runpy.py").write_text("raise SystemExit('a stranger's code ran')")
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "note").open("w") as note:
        os.set_inheritable(note.fileno(), True)
        private_server(str(tiny_model), lambda _: None).close()
    (process,) = servers(runtime)
    opened = {str(path.readlink()) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
    assert str(tmp_path / "note") not in opened
    assert process.cwd() == "/"


def test_an_interrupted_start_leaves_no_server(runtime: Path, tiny_model: Path) -> None:
    code = "from assistant.client.private import private_server; import sys; private_server(sys.argv[1], print).close()"
    command = [sys.executable, "-u", *IGNORED, "-c", code, str(tiny_model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        assert asker.stdout.readline() == "starting the server\n"
        asker.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in asker.communicate(timeout=30)[1]
    assert not servers(runtime)


def test_a_file_is_not_answered_by_a_server_of_another_of_its_name(
    runtime: Path, tmp_path: Path, environment: dict[str, str], tiny_model: Path
) -> None:
    own = start(runtime, {**environment, "XDG_RUNTIME_DIR": str(runtime)}, "--model", str(tiny_model))
    moved = own.socket.rename(runtime / "bedside.sock")
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "tiny.gguf"
    other.write_bytes(tiny_model.read_bytes())
    with connect(None, str(other)) as found:
        assert found.where != str(moved)
    moved.rename(own.socket)
    stop(own)


def test_it_ends_when_nobody_needs_it(runtime: Path, environment: dict[str, str]) -> None:
    served = start(runtime, {**environment, "XDG_RUNTIME_DIR": str(runtime)}, "--idle-exit", "2")
    with Connection("http://x", served.socket) as connection:
        assert text(connection)
    began = time.monotonic()
    assert served.process.wait(30) == 0
    assert time.monotonic() - began > 1
    assert served.process.stderr is not None
    served.process.stderr.close()
    assert not served.socket.exists()


def test_the_users_own_server_is_preferred_and_another_model_is_not(
    runtime: Path, environment: dict[str, str], tiny_model: Path
) -> None:
    own = start(runtime, {**environment, "XDG_RUNTIME_DIR": str(runtime)})
    moved = own.socket.rename(runtime / "bedside.sock")
    with connect(None, None) as found:
        assert found.where == str(moved)
    with connect(None, str(tiny_model)) as found:
        assert found.where != str(moved)
        assert found.model() == "tiny.gguf"
    moved.rename(own.socket)
    with connect(own.url, None) as found:
        assert text(found)
    stop(own)


def test_no_server_at_a_url_is_said(runtime: Path) -> None:
    with connect("http://127.0.0.1:9", None) as found, pytest.raises(ServerError, match="no server answers at http"):
        found.model()


def test_a_server_that_dies_is_said(runtime: Path, environment: dict[str, str]) -> None:
    served = start(runtime, environment)
    with Connection("http://x", served.socket) as connection:
        chunks = connection.chat({**QUESTION, "max_tokens": 1800, "logit_bias": {"2": -100}})
        next(chunks)
        served.process.kill()
        with pytest.raises(ServerError, match="ended in the middle of an answer; ask again"):
            list(chunks)
    served.process.wait(30)
    assert served.process.stderr is not None
    served.process.stderr.close()


def test_one_that_was_started_here_and_has_no_other_user_ends_with_its_last_use(
    runtime: Path, tiny_model: Path
) -> None:
    first = private_server(str(tiny_model), lambda _: None)
    second = private_server(str(tiny_model), lambda _: None)
    second.retire()
    assert text(first)
    third = private_server(str(tiny_model), lambda _: None)
    first.retire()
    assert text(third)
    third.retire()  # which has not started it
    assert len(servers(runtime)) == 1


@pytest.mark.slow
def test_another_model_ends_the_server_of_the_former(runtime: Path, tmp_path: Path, tiny_model: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(tiny_model.read_bytes())
    link = Link(None, str(tiny_model))
    link.connection(lambda _: None)
    (former,) = servers(runtime)
    assert text(link.switch(str(other), lambda _: None))
    (now,) = servers(runtime)
    assert now.pid != former.pid
    link.close()

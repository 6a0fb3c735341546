"""This very machine: real servers, models, libraries and histories, good and damaged."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from assistant.doctor.data import check_disk, check_history, check_libraries, judge_room
from assistant.doctor.machine import Machine
from assistant.doctor.model import check_model
from assistant.doctor.server import check_door, check_servers
from device.system import System
from models.imports import import_model
from models.store import Store
from tests.assistant.conftest import IGNORED, Bedside
from tests.assistant.server.conftest import KEY, start, stop
from tests.device.machines import write
from tests.local_server import serve_locally


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of a user of whom nothing is known yet."""
    for name, folder in (("BEDSIDE_HOME", "home"), ("BEDSIDE_HISTORY", "history"), ("XDG_RUNTIME_DIR", "run")):
        (tmp_path / folder).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / folder))
    return tmp_path


def states(machine: Machine) -> list[tuple[str, str]]:
    return [(line.name, line.state) for line in check_servers(machine)]


def named(told: dict[str, Any], name: str) -> list[dict[str, str]]:
    return [line for line in told["lines"] if line["name"] == name]


def test_the_command_here(bedside: Bedside) -> None:
    started = time.monotonic()
    done = bedside("doctor", "--json")
    assert time.monotonic() - started < 20
    told = json.loads(done.stdout)
    assert done.returncode == (1 if told["counts"]["fault"] else 0)
    (library,) = named(told, "llama.cpp")
    assert library["state"] != "fault"
    assert "REPACK" in library["found"]
    (model,) = named(told, "Model")
    assert (model["state"], "as recorded" in model["found"]) == ("ok", True)
    assert named(told, "Offline")[0]["state"] == "ok"
    assert named(told, "Core dumps")[0]["state"] == "ok"


def test_the_model_is_the_one_that_was_chosen_last(home: Path) -> None:
    choice = {"now": {"name": "/nowhere/chosen.gguf", "sha256": None}, "before": None}
    (home / "home" / "served").mkdir()
    (home / "home" / "served" / "model.json").write_text(json.dumps(choice))
    command = [sys.executable, *IGNORED, "-m", "assistant", "doctor", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=False).stdout)
    (model,) = named(told, "Model")
    assert (model["state"], "/nowhere/chosen.gguf does not exist" in model["found"]) == ("fault", True)


def test_a_running_server_its_socket_and_its_key(
    home: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = home / "run/key"
    key.write_text(KEY)
    key.chmod(0o600)
    running = start(home / "run", {**environment, "OMP_NUM_THREADS": "1"}, "--key-file", str(key))
    try:
        machine = Machine(service_socket=running.socket)
        assert states(machine) == [("Server", "ok"), ("Socket", "ok"), ("Key", "ok"), ("Key", "ok")]
        running.socket.chmod(0o666)
        key.chmod(0o640)
        assert states(machine) == [("Server", "ok"), ("Socket", "fault"), ("Key", "ok"), ("Key", "fault")]
        key.unlink()
        assert states(machine)[-1] == ("Key", "warning")
        monkeypatch.setattr("assistant.doctor.server.version", lambda name: "99.0")
        line = check_servers(machine)[0]
        assert (line.state, "this program is 99.0" in line.found) == ("warning", True)
        assert line.remedy is not None
        assert line.remedy.endswith(f"kill {running.process.pid}")
    finally:
        stop(running)
    assert states(machine) == [("Server", "ok")]


class Anybody(BaseHTTPRequestHandler):
    """Answers whoever asks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (its name in the base)
        pass


def test_a_door_without_a_key() -> None:
    with serve_locally(Anybody, threading.Event()) as url:
        port = int(url.rpartition(":")[2])
        line = check_door("127.0.0.1", port)
        assert (line.state, "which only programs of this machine reach" in line.found) == ("ok", True)
        line = check_door("0.0.0.0", port)
        assert (line.state, "answers other machines without a key" in line.found) == ("fault", True)
    assert check_door("127.0.0.1", port).state == "warning"


def test_what_a_killed_server_leaves_is_told(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "run/bedside.sock"))
    (line,) = check_servers(Machine(service_socket=home / "none"))
    assert (line.name, line.state) == ("Socket", "warning")
    assert line.remedy is not None
    assert line.remedy.endswith(f"rm {home / 'run/bedside.sock'}")


def test_a_damaged_model_is_a_fault(home: Path, tiny_model: Path) -> None:
    manifest = import_model(Store(), tiny_model, "tiny")
    assert [line.state for line in check_model(Machine(model="tiny"))] == ["ok", "ok"]
    stored = Store().folder("tiny") / manifest.files[0].name
    data = bytearray(stored.read_bytes())
    data[-1] ^= 1
    stored.write_bytes(data)
    line = check_model(Machine(model="tiny"))[0]
    assert (line.state, "sha256" in line.found) == ("fault", True)
    stored.write_bytes(data[:-32])
    assert check_model(Machine(model="tiny"))[0].state == "fault"
    assert check_model(Machine(model="nothing"))[0].state == "fault"


def test_a_library_that_is_not_as_it_was_written(
    home: Path, bedside: Bedside, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    note = home / "note.md"
    note.write_text("# Croup\n\nCroup is an infection of the upper airway.\n")
    assert bedside("knowledge", "add", str(note), "--library", "ward").returncode == 0
    monkeypatch.setenv("BEDSIDE_HOME", environment["BEDSIDE_HOME"])
    path = Path(environment["BEDSIDE_HOME"]) / "libraries/ward.sqlite3"
    try:
        assert "every text as written" in check_libraries(Machine())[1].found
        path.write_bytes(path.read_bytes().replace(b"upper airway", b"lower airway"))
        line = check_libraries(Machine())[1]
        assert line.state == "fault"
        assert line.remedy is not None
        assert line.remedy.endswith("bedside knowledge verify ward")
    finally:
        path.unlink()


def test_a_history_that_others_could_read_or_that_is_copied_away(home: Path) -> None:
    machine = Machine(System(write(home / "root", {"proc/self/mountinfo": f"1 0 0:1 / {home} rw - nfs4 server:/ rw"})))
    history = home / "history"
    assert [line.state for line in check_history(Machine())] == ["ok"]
    (history / "history.sqlite3").write_bytes(os.urandom(64))
    (history / "history.sqlite3").chmod(0o600)
    assert [line.state for line in check_history(Machine())] == ["ok"]
    (history / "history.sqlite3").chmod(0o644)
    history.chmod(0o755)
    (history / ".stfolder").mkdir()
    lines = check_history(machine)
    assert [line.state for line in lines] == ["warning", "fault", "warning", "warning"]
    assert lines[0].remedy == f"close it\nchmod 700 {history}"
    assert "(nfs4)" in lines[2].found
    (history / "history.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(48))
    assert "is not encrypted" in check_history(machine)[2].found


def test_room_on_the_disk(home: Path) -> None:
    states = [judge_room(home, free_bytes).state for free_bytes in (1 << 20, 500 << 20, 5 << 30)]
    assert states == ["fault", "warning", "ok"]
    assert {line.name for line in check_disk(Machine())} == {"Disk"}

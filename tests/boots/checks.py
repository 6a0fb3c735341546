"""What must hold of the installed service, each step on the machine as the step before has left it."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.boots.machine import Booted
from tests.boots.rootfs import ENVIRONMENT

BEDSIDE = f"{ENVIRONMENT}/bin/bedside"
UNIT = "bedside.service"
DROP_INS = f"etc/systemd/system/{UNIT}.d"
URL = "http://127.0.0.1:8080"
ALLOWED = {"writing its states", "reading the free memory", "a unix socket"}
_ASK = ("--json", "How is croup treated?")
# Asked inside the machine, where nothing but Python is at hand: status code and seconds.
_FETCH = """
import json, sys, time, urllib.request, urllib.error
url, headers = sys.argv[1], json.loads(sys.argv[2])
started = time.monotonic()
try:
    status = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60).status
except urllib.error.HTTPError as error:
    status = error.code
print(status, round(time.monotonic() - started, 2))
"""
_BESIDE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/lib/systemd", "/var/tmp", "/var/cache")
# Copies that the programs make that change the list of users.
_COPIES = re.compile(r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|/etc/\.(pwd\.lock|updated)")


def show(machine: Booted, *names: str) -> dict[str, str]:
    """What systemd tells of the service."""
    told = machine.read("systemctl", "show", UNIT, f"--property={','.join(names)}")
    return dict(line.split("=", 1) for line in told.splitlines())


def until(check: Callable[[], bool], what: str, limit_s: float = 60) -> float:
    """Seconds until it holds; fails where it does not in time."""
    started = time.monotonic()
    while not check():
        assert time.monotonic() - started < limit_s, f"{what}: not within {limit_s:g} s"
        time.sleep(0.05)
    return time.monotonic() - started


def is_active(machine: Booted) -> bool:
    return show(machine, "ActiveState") == {"ActiveState": "active"}


def files(machine: Booted) -> set[str]:
    """Every file and link that installing could have left."""
    found = machine.read(
        "find",
        "/",
        "-xdev",
        *(f for each in _BESIDE for f in ("-path", each, "-prune", "-o")),
        "!",
        "-type",
        "d",
        "-print",
    )
    return {path for path in found.splitlines() if not _COPIES.fullmatch(path) and "__pycache__" not in path}


def installing(machine: Booted) -> str:
    started = time.monotonic()
    shown = machine.read(BEDSIDE, "service", "install", "--dry-run")
    assert "write   /etc/systemd/system/bedside.service (0644)" in shown
    assert not (machine.root / "etc/systemd/system/bedside.service").exists()
    machine.read(BEDSIDE, "service", "install")
    took_s = time.monotonic() - started
    assert is_active(machine)
    assert machine.read(BEDSIDE, "service", "install") == "the service is installed, and nothing has changed"
    status = machine.read(BEDSIDE, "service", "status")
    assert "answers    as reference" in status, status
    assert "serving reference on /run/bedside/bedside.sock" in machine.read(BEDSIDE, "service", "logs", "-n", "9")
    return f"ready {took_s:.1f} s after the dry run began; a second install changes nothing"


def answers_on_the_socket(machine: Booted) -> str:
    """As a clinician in the group, who must not get a server of his own; a stranger is not let in."""
    for name, groups in (("clinician", ["--groups", "bedside"]), ("stranger", [])):
        machine.read("useradd", "--create-home", *groups, name)
    answer = json.loads(machine.read("runuser", "-u", "clinician", "--", BEDSIDE, "ask", *_ASK))
    assert answer["sources"], answer
    assert machine.run("pgrep", "-u", "clinician").returncode == 1
    knock = "import socket; socket.socket(socket.AF_UNIX).connect('/run/bedside/bedside.sock')"
    stranger = ("runuser", "-u", "stranger", "--")
    refused = machine.run(*stranger, "python3", "-c", knock)
    assert "PermissionError" in refused.stderr, refused
    told = machine.run(*stranger, BEDSIDE, "service", "status")
    assert "not by you: usermod -aG bedside stranger" in told.stdout, told
    return f"a member of the group gets {len(answer['sources'])} sources, a stranger no connection, and is told why"


def libraries_of_the_service(machine: Booted) -> str:
    """What the administrator adds is searched at once, without a restart."""
    (machine.root / "opt/note.md").write_text("# Fever\n\nOn ward Zeta, fever above 38.5 C is told to nurse Quill.\n")
    machine.read(BEDSIDE, "knowledge", "add", "--system", "--library", "ward", "/opt/note.md")
    asked = ("ask", "--json", "--knowledge", "ward", "Who is told of fever on ward Zeta?")
    answer = json.loads(machine.read("runuser", "-u", "clinician", "--", BEDSIDE, *asked))
    assert "nurse Quill" in answer["sources"][0]["text"], answer
    machine.read("rm", "/opt/note.md")
    return "a library that root has added is cited"


def answers_on_loopback(machine: Booted) -> str:
    key = (machine.root / "etc/bedside/api-key").read_text().strip()
    bearer = {"Authorization": f"Bearer {key}"}
    wanted: tuple[tuple[str, dict[str, str], int], ...] = (
        ("/health", {}, 200),
        ("/v1/models", {}, 401),
        ("/v1/models", bearer, 200),
        ("/v1/models", {**bearer, "Host": "rebound.example"}, 400),
    )
    for path, headers, status in wanted:
        found = fetch(machine, path, headers)
        assert found[0] == status, f"{path} {sorted(headers)}: {found[0]}"
    return "with the key only, and under its own name only"


def fetch(machine: Booted, path: str = "/health", headers: dict[str, str] | None = None) -> tuple[int, float]:
    status, seconds = machine.read("python3", "-c", _FETCH, URL + path, json.dumps(headers or {})).split()
    return int(status), float(seconds)


def the_process_is_confined(machine: Booted) -> str:
    """Read off the very process that answers."""
    process = show(machine, "MainPID")["MainPID"]
    status = dict(line.split(":\t", 1) for line in machine.read("cat", f"/proc/{process}/status").splitlines())
    wanted = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16, "CapAmb": "0" * 16}
    assert {name: status[name].strip() for name in wanted} == wanted, status
    devices = machine.read("cat", f"/proc/{process}/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert all(set(line.split(":")[1].split()) == {"0"} for line in devices), devices
    for space in ("net", "mnt", "user", "ipc"):
        own, init = (machine.read("readlink", f"/proc/{each}/ns/{space}") for each in (process, "1"))
        assert own != init, space
    return "no capability, seccomp, a network of its own with nothing sent or received"


def the_sandbox_refuses(machine: Booted) -> str:
    found = probe(machine)
    wrong = {name: what for name, what in found["outcomes"].items() if (what == "done") != (name in ALLOWED)}
    assert not wrong, wrong
    seen = found["seen"]
    assert seen == {
        "others' processes": 0,
        "network devices": ["lo"],
        "firmware": "ENOENT",
        "secrets in the environment": [],
    }
    refused = ", ".join(f"{name} {what}" for name, what in found["outcomes"].items() if what != "done")
    return f"refused: {refused}; allowed: {', '.join(sorted(ALLOWED))}"


def probe(machine: Booted) -> Any:
    """What the probe says in a unit that is the service's own but for the program."""
    unit = (machine.root / "etc/systemd/system/bedside.service").read_text()
    script = (Path(__file__).parent / "probe.py").read_text()
    place = machine.root / "opt/probe.py"
    place.write_text(script)
    start = f"ExecStart={ENVIRONMENT}/bin/python -I /opt/probe.py"
    unit = re.sub(r"(?m)^ExecStart=.*$", start, unit).replace("Type=notify", "Type=oneshot")
    unit = re.sub(r"(?m)^(Restart|WatchdogSec|Requires)=.*\n", "", unit)
    (machine.root / "etc/systemd/system/probe.service").write_text(unit)
    drop_ins = machine.root / DROP_INS
    if drop_ins.is_dir():
        machine.read("cp", "-rT", f"/{DROP_INS}", "/etc/systemd/system/probe.service.d")
    machine.read("systemctl", "daemon-reload")
    done = machine.run("systemctl", "start", "probe.service")
    said = machine.read("journalctl", "-u", "probe.service", "-o", "cat", "--no-pager")
    assert done.returncode == 0, said
    machine.read(
        "rm", "-rf", "/opt/probe.py", "/etc/systemd/system/probe.service", "/etc/systemd/system/probe.service.d"
    )
    machine.read("systemctl", "daemon-reload")
    lines = [line.removeprefix("PROBE ") for line in said.splitlines() if line.startswith("PROBE ")]
    return json.loads(lines[-1])


def models_of_its_store(machine: Booted) -> str:
    """By id and as a file that nobody has vouched for, whose first load happens in a child inside the sandbox."""
    gguf = machine.read("sh", "-c", f"echo {ENVIRONMENT}/lib/python3*/site-packages/models/reference/*q4_0.gguf")
    machine.read("env", "BEDSIDE_HOME=/var/lib/bedside", BEDSIDE, "models", "import", gguf, "--id", "own")
    machine.read(BEDSIDE, "service", "install", "--model", "own")
    assert "answers    as own" in machine.read(BEDSIDE, "service", "status")
    machine.read("install", "-D", "-m", "0644", gguf, "/srv/own.gguf")
    machine.read(BEDSIDE, "service", "install", "--model", "/srv/own.gguf")
    assert "answers    as own.gguf" in machine.read(BEDSIDE, "service", "status")
    machine.read("sh", "-c", "head -c 900000 /srv/own.gguf > /srv/cut.gguf")
    done = machine.run(BEDSIDE, "service", "install", "--model", "/srv/cut.gguf")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    assert "answers    as own.gguf" in machine.read(BEDSIDE, "service", "status")
    machine.read("rm", "/srv/cut.gguf")
    machine.read(BEDSIDE, "service", "install")
    assert "answers    as reference" in machine.read(BEDSIDE, "service", "status")
    switched = machine.read(BEDSIDE, "switch", "own")
    machine.read("systemctl", "restart", "bedside.service")
    assert "answers    as own" in machine.read(BEDSIDE, "service", "status"), switched
    machine.read(BEDSIDE, "switch", "--rollback")
    assert "answers    as reference" in machine.read(BEDSIDE, "service", "status")
    said = "by id, by file, by switch over a restart and back"
    return f"{said}; a file that is cut off leaves the one before: {done.stderr.strip()}"


def killed(machine: Booted) -> str:
    before = show(machine, "MainPID", "NRestarts")
    machine.read("kill", "-9", before["MainPID"])
    status, waited_s = fetch(machine)
    after = show(machine, "MainPID", "NRestarts")
    assert status == 200
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1
    return f"the next request is answered after {waited_s:.1f} s, by process {after['MainPID']}"


def stuck(machine: Booted, watchdog_s: int = 4) -> str:
    """With a shorter watchdog than the shipped one, by the drop-in that an operator would write."""
    add_drop_in(machine, "99-check.conf", f"[Service]\nWatchdogSec={watchdog_s}\n")
    before = show(machine, "MainPID", "NRestarts", "WatchdogUSec")
    assert before["WatchdogUSec"] == f"{watchdog_s}s", before
    time.sleep(2 * watchdog_s)
    assert show(machine, "MainPID")["MainPID"] == before["MainPID"], "killed although it was well"
    machine.read("kill", "-STOP", before["MainPID"])
    fell_s = until(lambda: show(machine, "NRestarts")["NRestarts"] != before["NRestarts"], "no restart")
    until(lambda: is_active(machine), "not ready again")
    assert fetch(machine)[0] == 200
    assert "Watchdog timeout" in machine.read("journalctl", "-u", UNIT, "-o", "cat", "--no-pager")
    remove_drop_in(machine, "99-check.conf")
    return f"stopped with SIGSTOP it is killed and started again within {fell_s:.1f} s (WatchdogSec={watchdog_s})"


def add_drop_in(machine: Booted, name: str, text: str) -> None:
    folder = machine.root / DROP_INS
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    machine.read("systemctl", "daemon-reload")
    machine.read("systemctl", "reset-failed")
    machine.read("systemctl", "restart", UNIT)


def remove_drop_in(machine: Booted, name: str) -> None:
    (machine.root / DROP_INS / name).unlink()
    machine.read("systemctl", "daemon-reload")
    machine.read("systemctl", "restart", UNIT)


def drop_ins_of_boards(machine: Booted) -> str:
    """Without their devices: it starts. With a stand-in for the Pi's node: it alone can be opened."""
    units = Path(__file__).parents[2] / "systemd"
    scores = []
    for name in ("jetson.conf", "pi.conf"):
        add_drop_in(machine, f"50-{name}", (units / name).read_text())
        assert fetch(machine)[0] == 200
        scores.append(f"{name} {exposure(machine)}")
        if name == "pi.conf":
            machine.read("mknod", "-m", "0660", "/dev/vcio", "c", "1", "3")
            machine.read("chgrp", "video", "/dev/vcio")
            assert probe(machine)["seen"]["firmware"] == "done"
            machine.read("rm", "/dev/vcio")
        remove_drop_in(machine, f"50-{name}")
    return f"both start without the devices; the Pi's node is reached; exposure {', '.join(scores)}"


def exposure(machine: Booted) -> float:
    told = machine.read("systemd-analyze", "security", UNIT, "--no-pager").splitlines()[-1]
    found = re.search(r": (\d+\.\d)", told)
    assert found, told
    return float(found[1])


def scored(machine: Booted) -> str:
    assert exposure(machine) <= 0.3
    return f"systemd-analyze security: {exposure(machine)}"


def uninstalling(machine: Booted, before: set[str]) -> str:
    """`before` is every path that there was."""
    machine.read("userdel", "--remove", "stranger")
    machine.read("userdel", "--remove", "clinician")
    machine.read(BEDSIDE, "service", "uninstall")
    data = {path for path in files(machine) - before if not path.startswith("/srv")}
    assert data, "the model that was imported is gone"
    assert all(path.startswith("/var/lib/bedside") for path in data), data
    assert not before - files(machine), before - files(machine)
    assert machine.run("getent", "passwd", "bedside").returncode == 2
    assert machine.run("getent", "group", "bedside").returncode == 2
    assert "bedside" not in machine.read("systemctl", "list-units", "--all", "--no-legend", "--no-pager")
    machine.read(BEDSIDE, "service", "uninstall", "--purge", "--yes")
    machine.read("rm", "/srv/own.gguf")
    assert files(machine) == before, files(machine) ^ before
    return "only data is left, and nothing after --purge"


def port_taken(machine: Booted, before: set[str]) -> str:
    """A service that cannot start leaves nothing of itself."""
    taking = "import socket, time; held = socket.create_server(('127.0.0.1', 8080)); time.sleep(600)"
    machine.read("systemd-run", "--unit=taker", "python3", "-c", taking)
    until(lambda: ":1F90 " in machine.read("cat", "/proc/net/tcp"), "the port is not taken")
    done = machine.run(BEDSIDE, "service", "install")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    assert "(127.0.0.1:8080): Address already in use; give another --port" in done.stderr, done.stderr
    assert files(machine) == before, files(machine) ^ before
    assert machine.run("getent", "passwd", "bedside").returncode == 2
    machine.read("systemctl", "stop", "taker")
    return f"nothing is left of an install that says: {done.stderr.strip()}"


def cold_boot(machine: Booted) -> str:
    """Asked as soon as anybody could: the socket holds the request until the server is there."""
    started = time.monotonic()
    json.loads(machine.read(BEDSIDE, "ask", *_ASK))
    first_s = time.monotonic() - started
    until(lambda: is_active(machine), "not ready")
    told = show(machine, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    began, ready = (int(told[name]) / 1e6 for name in sorted(told, reverse=True))
    up = int(machine.read("systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value")) / 1e6
    started = time.monotonic()
    json.loads(machine.read(BEDSIDE, "ask", *_ASK))
    asked_s = time.monotonic() - started
    return (
        f"service begun {began - up:.1f} s after systemd, ready {ready - began:.1f} s later; `bedside ask` answers in"
        f" {first_s:.1f} s, begun with the socket, and then in {asked_s:.1f} s"
    )


def purging(machine: Booted) -> str:
    machine.read(BEDSIDE, "service", "uninstall", "--purge", "--yes")
    assert not (machine.root / "var/lib/bedside").exists()
    return "done"

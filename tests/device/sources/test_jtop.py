"""jtop's figures, the process that holds its client, and the real client before a service that behaves as it must not."""

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.child import LineChild
from device.errors import ReadingError, SourceUnavailableError
from device.sources.jtop import Jtop, open_jtop, parse_news, parse_power
from device.sources.jtop_child import follow
from device.system import System
from tests.device.fixtures import POWER, expected, names, shared

TOTAL = {"volt": 5096, "curr": 984, "power": 5014, "avg": 6000, "online": True, "name": "VDD_IN"}
RAIL = {"volt": 5088, "curr": 296, "power": 1506, "avg": 1400, "online": True}
POWER_NOW = {"rail": {"VDD_SOC": RAIL}, "tot": TOTAL}
LOOK = {"interval_s": 0.5, "power": POWER_NOW}
SERVICE = POWER / "jtop" / "fake_jtop_service.py"
with_client = pytest.mark.skipif(importlib.util.find_spec("jtop") is None, reason="jetson-stats is not installed")


def test_the_total_counts_when_it_is_named() -> None:
    reading = parse_power(LOOK)
    assert reading.power_w == 5.014
    assert reading.rails_w == {"VDD_IN": 5.014, "VDD_SOC": 1.506}


@pytest.mark.parametrize(
    ("power", "message"),
    [
        (
            {"rail": {"VDD_SOC": RAIL}, "tot": {k: v for k, v in TOTAL.items() if k != "name"}},
            "no VDD_IN, only VDD_SOC",
        ),
        ({"rail": {"CPU": RAIL, "GPU": RAIL}, "tot": {**TOTAL, "name": "ALL"}}, "no VDD_IN, only CPU, GPU"),
        ({}, "only no rail at all"),
        ({"rail": {}, "tot": {**TOTAL, "online": False}}, "offline"),
        ({"rail": {}, "tot": {**TOTAL, "power": 0}}, "takes nothing"),
        ({"rail": {}, "tot": {"name": "VDD_IN"}}, "another shape"),
        ({"rail": {}, "tot": {**TOTAL, "power": "5 W"}}, "another shape"),
        ({"rail": [RAIL], "tot": TOTAL}, "another shape"),
        (None, "another shape"),
    ],
)
def test_figures_without_a_total_give_none(power: Any, message: str) -> None:
    with pytest.raises(ReadingError, match=message):
        parse_power({"power": power})


def test_a_rail_that_is_offline_is_left_out() -> None:
    assert parse_power({"power": {"rail": {"VDD_SOC": {**RAIL, "online": False}}, "tot": TOTAL}}).rails_w == {
        "VDD_IN": 5.014
    }


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        ("JtopException", "The jtop.service is not active. Please run: x", "systemctl start jtop.service"),
        ("JtopException", "I can't access jtop.service. Please logout", "usermod -aG jtop"),
        (
            "JtopException",
            "Mismatch version jtop service: [4.2.12] and client: [7.2.2]. Please run: x",
            "the version of",
        ),
        ("JtopException", "Authentication with jetson-stats server failed", "systemctl restart jtop.service"),
        ("EOFError", "", "systemctl restart jtop.service"),
        ("TimeoutError", "jtop.service sends nothing new", "systemctl restart jtop.service"),
        ("ModuleNotFoundError", "No module named 'jtop'", r"pip install 'bedside\[jetson\]'"),
    ],
)
def test_the_clients_errors_say_what_to_do(error: str, message: str, remedy: str) -> None:
    with pytest.raises(SourceUnavailableError) as caught:
        parse_news(json.dumps({"error": error, "message": message}))
    assert re.search(remedy, caught.value.remedy)
    assert error in caught.value.reason
    assert "Please" not in caught.value.reason


@pytest.mark.parametrize("line", ["", "Traceback (most recent call last):", "[1]", '{"power": '])
def test_a_line_that_is_no_news_is_a_failed_look(line: str) -> None:
    with pytest.raises(ReadingError, match="no news"):
        parse_news(line)


@shared
@pytest.mark.parametrize("name", names("jtop/"))
def test_recorded_figures(name: str) -> None:
    state, told = json.loads((POWER / name).read_text("utf-8")), expected()[name]
    assert told["rail"] == "VDD_IN"
    assert parse_power(state["data"]).power_w == told["tot_mW"] / 1000


# The process, in place of which a few lines of Python speak


def speaking(*lines: object, then: str = "sys.stdin.read()") -> LineChild:
    script = "".join(f"print({json.dumps(line)!r}, flush=True); time.sleep(0.05)\n" for line in lines)
    return LineChild([sys.executable, "-c", f"import sys, time\n{script}{then}"], "jtop", with_errors=False)


def test_looks_follow_each_other() -> None:
    second = {"interval_s": 0.5, "power": {"rail": {}, "tot": {**TOTAL, "power": 9000}}}
    source = Jtop(speaking(LOOK, second), start_s=20, read_s=20)
    assert (source.meter.source, source.meter.rail, source.meter.scope) == ("jtop", "VDD_IN", "module")
    assert source.meter.period_s == 0.5
    assert source.read().power_w == 9.0
    source.close()


def test_a_client_that_freezes_is_told_at_its_deadline() -> None:
    source = Jtop(speaking(LOOK, LOOK), start_s=20, read_s=0.05)
    source._read_s = 20
    source.read()
    source._read_s = 0.05
    with pytest.raises(ReadingError, match="printed nothing"):
        source.read()
    source.close()


def test_a_client_that_dies_is_told() -> None:
    source = Jtop(speaking(LOOK, then="time.sleep(0.2); sys.exit(1)"), start_s=20, read_s=20)
    with pytest.raises(SourceUnavailableError, match="has ended"):
        source.read()
    source.close()


def test_its_last_words_are_the_reason() -> None:
    source = Jtop(speaking(LOOK, {"error": "EOFError", "message": ""}, then=""), start_s=20, read_s=20)
    with pytest.raises(SourceUnavailableError, match="EOFError; sudo systemctl restart"):
        source.read()
    source.close()


def test_figures_after_the_clients_patience_are_the_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits three intervals for news, then gives what it has: whether it ends then is a race inside it."""
    ticks_s = iter([10.0, 10.5, 10.5, 11.0, 11.0, 12.5, 12.5])

    class Client:
        interval = interval_user = 0.5
        power = POWER_NOW

        def __init__(self, interval: float) -> None:
            assert interval == 0.5

        def start(self) -> None:
            """Comes back at once."""

        def ok(self) -> bool:
            return True

    said = list[dict[str, Any]]()
    package = types.ModuleType("jtop")
    package.jtop, package.service = Client, types.ModuleType("jtop.service")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jtop", package)
    monkeypatch.setitem(sys.modules, "jtop.service", package.service)
    monkeypatch.setattr("device.sources.jtop_child.time.monotonic", lambda: next(ticks_s))
    with pytest.raises(TimeoutError, match="sends nothing new"):
        follow(0.5, None, said.append)
    assert said == [LOOK, LOOK]


# Without a service


def test_no_service_and_another_root_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="not active; sudo systemctl start"):
        open_jtop(System(), tmp_path / "jtop.sock")
    with pytest.raises(SourceUnavailableError, match="without --sysroot"):
        open_jtop(System(tmp_path))


def test_a_socket_that_may_not_be_opened_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jtop.sock").touch()
    monkeypatch.setattr("device.sources.jtop.os.access", lambda path, mode: False)
    with pytest.raises(SourceUnavailableError, match="may not be opened; sudo usermod -aG jtop"):
        open_jtop(System(), tmp_path / "jtop.sock")


def test_without_the_extra_its_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jtop.sock").touch()
    monkeypatch.setattr("device.sources.jtop.importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceUnavailableError, match=r"pip install 'bedside\[jetson\]'"):
        open_jtop(System(), tmp_path / "jtop.sock")


# The real client


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that is started finds what this one found."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short, since a socket's path is."""
    return tmp_path_factory.mktemp("jtop") / "jtop.sock"


@pytest.fixture
def service(place: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """The test double of jtop.service, under load, with the flag that the test gives it."""
    flags = [request.param] if getattr(request, "param", None) else []
    command = [sys.executable, str(SERVICE), str(place), str(POWER / "jtop/orin_nano_load.json"), *flags]
    running = subprocess.Popen(command)
    deadline_s = time.monotonic() + 20
    while not place.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    yield running
    running.kill()
    running.wait()


@shared
@with_client
def test_the_real_client_reads_the_total(service: object, place: Path) -> None:
    source = open_jtop(System(), place, start_s=30)
    told = expected()["jtop/orin_nano_load.json"]["tot_mW"] / 1000
    started_s = time.monotonic()
    assert [source.read().power_w for _ in range(3)] == [told] * 3
    assert time.monotonic() - started_s > 0.7  # three looks are two ticks of the service at least
    source.close()


@shared
@with_client
@pytest.mark.parametrize("service", ["--mute"], indirect=True)
def test_a_mute_service_is_no_source(service: object, place: Path) -> None:
    """The client's start never comes back: the process is ended at the deadline."""
    started_s = time.monotonic()
    with pytest.raises(SourceUnavailableError, match="printed nothing for 2 s"):
        open_jtop(System(), place, start_s=2)
    assert time.monotonic() - started_s < 10


@shared
@with_client
@pytest.mark.parametrize("service", ["--freeze"], indirect=True)
def test_a_frozen_service_ends_the_source(service: object, place: Path) -> None:
    """Its old figures are not given as new ones."""
    source = open_jtop(System(), place, start_s=30, read_s=30)
    with pytest.raises(SourceUnavailableError, match="sends nothing new"):
        source.read()
    source.close()


@shared
@with_client
@pytest.mark.parametrize("service", ["--oldversion"], indirect=True)
def test_a_service_of_another_version_is_no_source(service: object, place: Path) -> None:
    with pytest.raises(SourceUnavailableError, match=r"4\.2\.12.*install the version of jetson-stats"):
        open_jtop(System(), place, start_s=30)


@shared
@with_client
def test_a_service_that_ends_ends_the_source(service: subprocess.Popen[bytes], place: Path) -> None:
    source = open_jtop(System(), place, start_s=30, read_s=30)
    service.kill()
    service.wait()

    def read_what_is_on_its_way() -> None:
        for _ in range(3):
            source.read()

    with pytest.raises(SourceUnavailableError):
        read_what_is_on_its_way()
    source.close()


@shared
@with_client
def test_a_slower_first_client_sets_the_pace(service: object, place: Path) -> None:
    command = [sys.executable, "-m", "device.sources.jtop_child", "--interval", "1.6", "--socket", str(place)]
    first = LineChild(command, "jtop", with_errors=False)
    first.line(30)
    source = open_jtop(System(), place, start_s=30, read_s=30)
    assert source.meter.period_s == 1.6
    assert [source.read().power_w for _ in range(3)] == [18.699] * 3  # more than once within the longer interval
    source.close()
    first.close()


@with_client
def test_a_service_that_hangs_up_at_once(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()

        def hang_up() -> None:
            listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(SourceUnavailableError, match=r"jtop: EOFError; sudo systemctl restart"):
            open_jtop(System(), place, start_s=30)


@with_client
def test_a_socket_that_nobody_listens_at(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
    with pytest.raises(SourceUnavailableError, match="not active; sudo systemctl start"):
        open_jtop(System(), place, start_s=30)

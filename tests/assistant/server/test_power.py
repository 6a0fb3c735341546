"""What answers cost, the device's object and its stream, over a real server on a unix socket whose meter is a tree of files."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device.command import show_board
from tests.assistant.conftest import IGNORED
from tests.assistant.server.conftest import Served
from tests.device.machines import Files, write
from tests.device.test_monitor import ONLY_POWER

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "What is croup?"}], "logit_bias": {"2": -100}}
LONG = {**ASKED, "max_tokens": 300}
UNMEASURED = dict.fromkeys(("joules", "watts", "tokens_per_joule", "sensor", "scope", "kind"))
WARM: Files = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": 48500,
}
CHIP = "sys/class/hwmon/hwmon3"


@contextmanager
def serving(folder: Path, root: Path, environment: dict[str, str], said: str = "") -> Iterator[Served]:
    """A server until its end, which must be clean; `said` matches what it has said by then."""
    path = folder / "b.sock"
    command = [sys.executable, *IGNORED, "-m", "tests.assistant.server.metered", str(path), str(root), "0.002"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    running = Served(path, "", process)
    try:
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.05)
        with running.local() as client:
            while client.get("/ready").status_code != 200:
                time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        _, told = process.communicate(timeout=15)
    assert process.returncode == 0
    assert re.fullmatch(said, told), told


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("metered")
    with serving(folder, write(folder, ONLY_POWER, WARM), environment) as running:
        wait_for(running, "bedside_power_watts{")
        yield running


def wait_for(served: Served, text: str) -> None:
    while text not in metrics_text(served):
        time.sleep(0.01)


def metrics_text(served: Served) -> str:
    with served.local() as client:
        return client.get("/metrics").text


def metric(served: Served, name: str) -> float:
    found = re.search(rf"^bedside_{name}(?:{{.*}})? (.*)$", metrics_text(served), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_concurrent_answers_sum_to_the_total(metered: Served) -> None:
    before_j = metric(metered, "energy_joules_total")
    used: list[dict[str, Any]] = []

    def ask() -> None:
        with metered.local() as client:
            used.append(client.post(CHAT, json=LONG).json()["usage"])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s = time.monotonic() - began_s
    joules = sum(each["bedside"]["joules"] for each in used)
    assert joules == pytest.approx(metric(metered, "energy_joules_total") - before_j, abs=2e-4)
    assert 0 < joules < 6.0 * elapsed_s
    for each in used:
        extras = each["bedside"]
        assert (extras["watts"], extras["sensor"], extras["scope"], extras["kind"]) == (
            6.0,
            "ina3221-sysfs",
            "module",
            "measured",
        )
        assert extras["tokens_per_joule"] == pytest.approx(each["completion_tokens"] / extras["joules"], rel=1e-3)
    assert metric(metered, "energy_unmeasured_seconds_total") == 0


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_a_stream_tells_it_in_its_usage_chunk(metered: Served, path: str) -> None:
    asked = LONG if path == CHAT else {"prompt": "Croup is", "max_tokens": 300, "logit_bias": {"2": -100}}
    body = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    with metered.local() as client:
        lines = client.post(path, json=body).text.splitlines()
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    extras = chunks[-1]["usage"]["bedside"]
    assert extras["watts"] == 6.0
    assert extras["joules"] > 0


def test_choices_of_one_request_are_counted_together(metered: Served) -> None:
    before_j = metric(metered, "energy_joules_total")
    with metered.local() as client:
        extras = client.post(CHAT, json={**LONG, "n": 2}).json()["usage"]["bedside"]
    assert extras["joules"] == pytest.approx(metric(metered, "energy_joules_total") - before_j, abs=2e-4)
    assert extras["watts"] == 6.0


def test_metrics_say_what_is_measured_and_what_that_costs(metered: Served) -> None:
    labels = '{kind="measured",scope="module",source="ina3221-sysfs"}'
    with metered.local() as client:
        text = client.get("/metrics").text
    assert f"bedside_power_watts{labels} 6.0\n" in text
    assert f"bedside_energy_joules_total{labels} " in text
    assert "bedside_power_sampling_errors_total 0.0\n" in text
    assert metric(metered, "power_sampling_cpu_seconds_total") > 0


def test_the_device_is_what_the_command_prints(metered: Served, capsys: pytest.CaptureFixture[str]) -> None:
    show_board(as_json=True, sysroot=metered.socket.parent)
    printed = json.loads(capsys.readouterr().out)
    with metered.local() as client:
        found = client.get("/v1/device").json()
    assert found == printed
    assert (found["selected"], found["sources"][0]["power_w"]) == ("ina3221-sysfs", 6.0)


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def test_the_stream_tells_samples_and_the_boards_state(metered: Served) -> None:
    with metered.local() as client, client.stream("GET", "/v1/device/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        samples: list[dict[str, Any]] = []
        states: list[dict[str, Any]] = []
        for each in events(lines):
            (states if "temperatures_c" in each else samples).append(each)
            if len(samples) > 20 and states:
                break
    assert samples[0] | {"time": 0} == {
        "time": 0,
        "power_w": 6.0,
        "energy_j": None,
        "source": "ina3221-sysfs",
        "scope": "module",
        "kind": "measured",
    }
    assert all(abs(each["time"] - time.time()) < 60 for each in samples)
    assert states[0]["temperatures_c"] == {"cpu-thermal": 48.5}
    assert set(states[0]["throttling"]) == {"flags", "over_current_events", "supply_too_low"}


def test_a_server_that_ends_ends_its_streams(tmp_path: Path, environment: dict[str, str]) -> None:
    root = write(tmp_path / "root", ONLY_POWER)
    with serving(tmp_path, root, environment) as running, running.local() as client:
        with client.stream("GET", "/v1/device/events") as stream:
            lines = stream.iter_lines()
            next(events(lines))
            began_s = time.monotonic()
            running.process.terminate()
            rest = [line for line in lines if line]
            assert rest[-1] == "data: [DONE]"
        assert running.process.wait(15) == 0
        assert time.monotonic() - began_s < 10  # requests that have no end of their own are not waited for


def test_nothing_measured_is_null_and_said(tmp_path: Path, environment: dict[str, str]) -> None:
    root = write(tmp_path / "root", {"etc/hostname": "bare"})
    with serving(tmp_path, root, environment) as running, running.local() as client:
        extras = client.post(CHAT, json=LONG).json()["usage"]["bedside"]
        assert {name: extras[name] for name in UNMEASURED} == UNMEASURED
        text = client.get("/metrics").text
        assert "bedside_power_watts{" not in text
        assert "bedside_energy_joules_total{" not in text
        assert metric(running, "energy_unmeasured_seconds_total") > 0
        assert client.get("/v1/device").json()["selected"] is None
        with client.stream("GET", "/v1/device/events") as stream:
            first = next(events(stream.iter_lines()))
    assert (first["power_w"], first["source"], first["reason"]) == (None, None, "not measured")
    assert [missing["source"] for missing in first["unavailable"]] == ["battery", "rapl", "nvml"]


def test_a_meter_that_goes_away_is_said_and_found_again(tmp_path: Path, environment: dict[str, str]) -> None:
    root = write(tmp_path / "root", ONLY_POWER)
    said = r"the power meter ina3221-sysfs has gone: .*; it is looked for again every 0.05 s\n"
    with serving(tmp_path, root, environment, said) as running, running.local() as client:
        wait_for(running, "bedside_power_watts{")
        with client.stream("GET", "/v1/device/events") as stream:
            told = events(stream.iter_lines())
            assert next(told)["power_w"] == 6.0
            (root / CHIP).rename(root / "gone")
            missing = next(each for each in told if each.get("reason") == "not measured")
            assert missing["unavailable"][0]["source"] == "ina3221-sysfs"
            with running.local() as other:
                assert other.post(CHAT, json=LONG).json()["usage"]["bedside"]["joules"] is None
            assert '_unmeasured_seconds_total{kind="",scope="",source=""}' in metrics_text(running)
            (root / "gone").rename(root / CHIP)
            assert next(each for each in told if each.get("power_w"))["power_w"] == 6.0


def test_an_answer_too_short_for_the_meter_has_no_figure(tmp_path: Path, environment: dict[str, str]) -> None:
    """The chip's filter follows within 0.43 s: what takes less than 4.3 s is not told apart from what was before."""
    root = write(tmp_path / "root", ONLY_POWER, {f"{CHIP}/samples": 512, f"{CHIP}/update_interval": 430})
    with serving(tmp_path, root, environment) as running, running.local() as client:
        wait_for(running, "bedside_power_watts{")
        extras = client.post(CHAT, json={**ASKED, "max_tokens": 2}).json()["usage"]["bedside"]
        assert {name: extras[name] for name in UNMEASURED} == UNMEASURED
        wait_for(running, "bedside_energy_joules_total{")

"""The live picture: what is in it at each width, how it ends, and what a pipe gets."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rich.cells import cell_len

from device.board import look_at_board
from device.monitor import Monitor
from device.watch import History, page
from tests.device.machines import JETSON, RAPL, Files, write
from tests.device.test_monitor import Heard, is_end, is_sample, monitor_of

WARM: Files = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": 48500,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": 1510400,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": 1728000,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil",
}


def picture(monitor: Monitor, history: History, width: int) -> list[str]:
    return [line.plain for line in page(monitor, look_at_board(monitor.system), history, width)]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_power_temperatures_and_clocks_fit_the_width(tmp_path: Path, width: int) -> None:
    monitor, history = monitor_of(tmp_path, JETSON, WARM), History()
    heard = Heard(monitor)
    monitor.listen(history.take)
    with monitor:
        for _ in range(5):
            heard.wait(is_sample)
        lines = picture(monitor, history, width)
    text = "\n".join(lines)
    assert max(map(cell_len, lines)) <= width
    assert lines[0] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert "now 6.00 W  mean 6.00 W  peak 6.00 W" in text
    assert "low-pass" in text
    assert "module, measured, VDD_IN by ina3221-sysfs" in text
    assert "   10 W │" in text
    assert "▆" in text  # 6 of 10 W on eight rows: four rows and 6.4 eighths
    assert "cpu-thermal 48" in text
    assert "policy0 1510 of 1728" in text
    assert "Throttled the board does not say" in text


@pytest.mark.parametrize("width", [60, 80])
def test_without_a_meter_the_remedies_and_the_rest(tmp_path: Path, width: int) -> None:
    monitor = monitor_of(tmp_path, WARM)
    heard = Heard(monitor)
    assert "looking for a meter" in "\n".join(picture(monitor, History(), width))
    with monitor:
        heard.wait(is_end)
        lines = picture(monitor, History(), width)
    text = " ".join(" ".join(lines).split())
    assert max(map(cell_len, lines)) <= width
    assert "Power not measured; what mends it, in full: bedside device" in text
    assert "no battery in /sys/class/power_supply -> nothing to do without a battery" in text
    assert "cpu-thermal 48" in text
    assert "0.00 W" not in text


def test_a_counter_that_has_not_moved_has_no_watts(tmp_path: Path) -> None:
    monitor, history = monitor_of(tmp_path, RAPL), History()
    heard = Heard(monitor)
    monitor.listen(history.take)
    with monitor:
        heard.wait(is_sample)
        text = "\n".join(picture(monitor, history, 80))
    assert "now -  mean -  peak -" in text
    assert "0.00 W" not in text
    assert "│" not in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_name_of_ten_letters_has_its_line_to_itself(tmp_path: Path, width: int) -> None:
    jetson = {"sys/firmware/devicetree/base/model": "NVIDIA Jetson Orin Nano Developer Kit"}
    monitor = monitor_of(tmp_path, jetson)
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_end)
        lines = picture(monitor, History(), width)
    assert lines[lines.index("tegrastats") + 1].startswith(" " * 10 + "tegrastats is not run for")
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", [0, 1, 9, 20])
def test_the_narrowest_terminal_gets_a_picture(tmp_path: Path, width: int) -> None:
    monitor, history = monitor_of(tmp_path, JETSON, WARM), History()
    heard = Heard(monitor)
    monitor.listen(history.take)
    with monitor:
        heard.wait(is_sample)
        lines = picture(monitor, history, width)
    assert "now 6.00 W" in "\n".join(lines)
    assert max(map(cell_len, lines)) <= 40


def test_what_another_meter_said_is_not_drawn_beside_this_one(tmp_path: Path) -> None:
    monitor, history = monitor_of(tmp_path, JETSON), History()
    heard = Heard(monitor)
    monitor.listen(history.take)
    with monitor:
        heard.wait(is_sample)
    assert history.since(0.0).shape[1] > 0
    history.take(None)
    assert history.since(0.0).shape == (2, 0)


COMMAND = [sys.executable, "-m", "assistant", "device", "watch", "--sysroot"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


@pytest.mark.parametrize(("by_signal", "code"), [(False, 0), (True, 130)])
def test_q_and_ctrl_c_end_it_and_give_the_terminal_back(
    tmp_path: Path, terminal: tuple[int, int], by_signal: bool, code: int
) -> None:
    ours, theirs = terminal
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
    before = termios.tcgetattr(ours)
    with subprocess.Popen(
        [*COMMAND, str(write(tmp_path, JETSON))], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        shown = b""
        while b"6.00 W" not in shown or b"q ends" not in shown:
            shown += os.read(ours, 65536)
        if by_signal:
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, b"q")
        assert process.wait(30) == code
    assert termios.tcgetattr(ours) == before
    os.close(theirs)
    with suppress(OSError):  # the other side is closed
        while True:
            shown += os.read(ours, 65536)
    assert b"Traceback" not in shown
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")  # the cursor is back


def test_a_pipe_gets_a_line_each_second(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(write(tmp_path, JETSON, WARM))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""
    when, figure, hottest = lines[1].rstrip().split("  ")
    assert time.strptime(when[:19], "%Y-%m-%dT%H:%M:%S")
    assert figure == "6.00 W module, measured, VDD_IN by ina3221-sysfs"
    assert hottest == "48 C (cpu-thermal)"


def test_a_reader_who_leaves_ends_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "not measured" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == ""

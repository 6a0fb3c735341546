"""Programs that speak, are mute, end, stop in mid-line or start others: each with a real process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from device.child import LineChild
from device.errors import ReadingError, SourceUnavailableError


def python(script: str, **options: bool) -> LineChild:
    return LineChild([sys.executable, "-c", script], "sensor", **options)


def is_running(process_id: int) -> bool:
    """Zombies, which wait for a parent that is not us, have ended."""
    try:
        with open(f"/proc/{process_id}/stat") as stream:  # noqa: PTH123
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_lines_come_once_and_the_end_is_told() -> None:
    child = python("print('one', flush=True); input(); print('two')")
    try:
        assert child.line(20) == "one"
        with pytest.raises(ReadingError, match=r"sensor has printed nothing for 0\.05 s"):
            child.line(0.05)
    finally:
        child.close()
    with pytest.raises(SourceUnavailableError, match="has ended"):
        child.line(1)


def test_only_the_newest_line_is_given() -> None:
    child = python("print('old\\nnew', flush=True); print('ready', file=__import__('sys').stderr, flush=True); input()")
    try:
        while child.line(20) != "ready":
            pass
        with pytest.raises(ReadingError):
            child.line(0.05)
    finally:
        child.close()


def test_a_line_that_is_too_old_is_not_given() -> None:
    child = python("print('once', flush=True); input()")
    try:
        while child._newest is None:
            time.sleep(0.01)
        child._newest = (child._newest[0] - 60, child._newest[1])
        with pytest.raises(ReadingError):
            child.line(0.05)
    finally:
        child.close()


def test_a_line_that_was_cut_off_is_not_given() -> None:
    child = python("import sys; sys.stdout.write('VDD_IN 5014mW/50')")
    try:
        with pytest.raises(SourceUnavailableError, match="has ended"):
            child.line(20)
    finally:
        child.close()


def test_errors_are_part_of_the_lines_unless_they_are_not_wanted() -> None:
    child = python("import sys; print('refused', file=sys.stderr)")
    assert child.line(20) == "refused"
    child.close()
    child = python("import sys; print('refused', file=sys.stderr)", with_errors=False)
    with pytest.raises(SourceUnavailableError, match="has ended"):
        child.line(20)
    child.close()


def test_no_program_is_no_source() -> None:
    with pytest.raises(SourceUnavailableError, match="sensor is not installed"):
        LineChild(["/absent/sensor"], "sensor")


def test_closing_ends_the_program_and_what_it_started() -> None:
    """Also one that ignores the polite signal; close may be called twice."""
    child = python(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(other.pid, flush=True)\n"
        "time.sleep(600)"
    )
    other = int(child.line(20))
    assert is_running(child.process_id)
    assert is_running(other)
    child.close()
    assert not is_running(child.process_id)
    deadline_s = time.monotonic() + 5
    while is_running(other) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not is_running(other)
    child.close()


def test_the_programs_input_ends_with_us() -> None:
    """A parent that is killed closes nothing, but the system closes its end of the pipe."""
    script = (
        "import os, signal, sys\n"
        "from device.child import LineChild\n"
        "command = [sys.executable, '-c', 'import os, sys; print(os.getpid(), flush=True); sys.stdin.read()']\n"
        "print(LineChild(command, 'sensor').line(20), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    child = int(done.stdout)
    deadline_s = time.monotonic() + 20
    while is_running(child) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not is_running(child)


def test_it_does_not_start_in_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stranger.py").write_text("print('a stranger')")
    monkeypatch.chdir(tmp_path)
    child = LineChild([sys.executable, "-m", "stranger"], "sensor")
    try:
        assert "No module named stranger" in child.line(20)
    finally:
        child.close()

"""One check that fails or hangs costs its own line and no other; what is printed fits the screen."""

import threading
import time
from pathlib import Path

import pytest

from assistant.doctor.examine import CHECKS, Check, Section, examine
from assistant.doctor.line import Line, fault, ok
from assistant.doctor.machine import Machine
from assistant.doctor.unit import judge_units, main_process, read_units
from assistant.doctor.views import print_report, worst


def fails(machine: Machine) -> list[Line]:
    raise RuntimeError("a\nmeter\x1b bit")


def test_a_check_that_fails_or_hangs_leaves_the_others_alone() -> None:
    ever = threading.Event()

    def hangs(machine: Machine) -> list[Line]:
        ever.wait(30)
        return []

    checks = (
        Check("A", "Failing", fails),
        Check("A", "Hanging", hangs),
        Check("B", "Well", lambda machine: [ok("Well", "it is")]),
    )
    started = time.monotonic()
    first, second = examine(Machine(), checks, deadline_s=0.3)
    ever.set()
    assert time.monotonic() - started < 5
    assert [line.state for line in first.lines] == ["fault", "fault"]
    assert first.lines[0].found == "the check failed (RuntimeError: a meter\x1b bit)"
    assert first.lines[1].found == "no answer within 0.3 s"
    assert second.lines == [ok("Well", "it is")]


def test_every_line_fits_the_screen_and_commands_stay_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = "make " + "x" * 100
    section = Section("A", [fault("B", "word " * 40 + "\x1b[31m", f"a sentence {'of words ' * 20}\n{command}")])
    print_report([section])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == [" " * 25 + command]
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "1 fault, 0 warnings, 0 ok"


@pytest.mark.parametrize(
    ("states", "expected"), [((), "ok"), (("ok", "warning"), "warning"), (("fault", "ok"), "fault")]
)
def test_the_worst(states: tuple[str, ...], expected: str) -> None:
    made = [Line("n", state, "", None if state == "ok" else "r") for state in states]  # type: ignore[arg-type]
    assert worst([Section("A", made)]) == expected


def test_only_checks_of_files_look_at_another_machine() -> None:
    assert {check.name for check in CHECKS if check.of_files} == {"Files", "Board", "Clock", "Power meter", "Swap"}


@pytest.mark.parametrize(
    ("service", "socket", "state", "words"),
    [
        ({"LoadState": "not-found"}, {}, "ok", "not installed"),
        ({"LoadState": "bad-setting"}, {}, "fault", "cannot use bedside.service (bad-setting)"),
        ({"ActiveState": "failed", "Result": "watchdog"}, {}, "fault", "bedside.service has failed (watchdog)"),
        (
            {"ActiveState": "inactive"},
            {"ActiveState": "failed", "Result": "resources"},
            "fault",
            "bedside.socket has failed",
        ),
        ({"ActiveState": "inactive"}, {"ActiveState": "inactive"}, "warning", "installed, and inactive"),
        ({"ActiveState": "active"}, {}, "warning", "not after the next boot"),
        ({"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "3"}, {}, "warning", "restarted 3 times"),
        ({"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"}, {}, "ok", "runs"),
        ({"ActiveState": "inactive"}, {"ActiveState": "active", "UnitFileState": "enabled"}, "ok", "first request"),
    ],
)
def test_units(service: dict[str, str], socket: dict[str, str], state: str, words: str) -> None:
    line = judge_units(
        {"Id": "bedside.service", "LoadState": "loaded", **service},
        {"Id": "bedside.socket", "LoadState": "loaded", **socket},
    )
    assert line.state == state
    assert words in line.found
    assert (line.remedy is None) == (state == "ok")


def test_systemd_is_asked_with_its_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text(
        '#!/bin/sh\ntest "$1" = show || exit 1\n'
        "printf 'Id=bedside.service\\nLoadState=loaded\\nActiveState=active\\nNRestarts=0\\nMainPID=4711\\n\\n'\n"
        "printf 'Id=bedside.socket\\nLoadState=loaded\\nActiveState=active\\nUnitFileState=enabled\\n'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    service, socket = read_units(Machine())
    assert judge_units(service, socket) == ok("Service", "runs")
    assert main_process(Machine()) == 4711
    program.write_text("#!/bin/sh\necho System has not been booted with systemd >&2; exit 1\n")
    with pytest.raises(LookupError, match="not been booted"):
        read_units(Machine())
    assert main_process(Machine()) is None

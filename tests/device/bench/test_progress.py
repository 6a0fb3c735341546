"""How far a run is where standard error is a file: a line a minute, whatever the number of answers."""

import pytest

from device.bench.progress import Lines
from tests.device.meters import Clock


def test_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(now_s=1000.0)
    lines = Lines(clock)
    for number in range(30):
        lines.phase(f"answer {number}", 125.4)
        lines.tick()
        clock.now_s += 5.0
    lines.phase("the last", None)
    assert capsys.readouterr().err.splitlines() == [
        "bench: answer 12 - about 2:05 left in all",
        "bench: answer 24 - about 2:05 left in all",
    ]

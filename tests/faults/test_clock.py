"""A clock that jumps by years, as a board without a battery clock finds the time: no answer ends or waits for it.

What is purged by age is not, while the clock cannot be believed: tests/assistant/history/test_removal.py.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.assistant.server.conftest import start, stop

YEAR_S = 365 * 86_400
CHAT = "/v1/chat/completions"


@pytest.fixture
def shifted(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """An environment in which the time of day is what the file `shift` adds to it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = Path(__file__).with_name("clock_shift.c"), tmp_path / "clock_shift.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    (tmp_path / "shift").write_text("0")
    return {**environment, "LD_PRELOAD": str(library), "CLOCK_SHIFT": str(tmp_path / "shift")}


@pytest.mark.skipif(os.environ.get("LD_PRELOAD") is not None, reason="something else is loaded before the program")
def test_a_clock_that_jumps_while_an_answer_is_written(tmp_path: Path, shifted: dict[str, str]) -> None:
    served = start(tmp_path, shifted, "--idle-exit", "60")
    body = {
        "messages": [{"role": "user", "content": "Count."}],
        "max_tokens": 600,
        "stream": True,
        "logit_bias": {"2": -100},
        "deadline_s": 60,
    }
    created, finish, began = set(), None, time.monotonic()
    with served.local() as client:
        with client.stream("POST", CHAT, json=body) as stream:
            for number, line in enumerate(line for line in stream.iter_lines() if line.startswith("data: {")):
                if number in (50, 150):  # to the future, and to the past
                    (tmp_path / "shift").write_text(str(20 * YEAR_S if number == 50 else -20 * YEAR_S))
                finish = json.loads(line[6:])["choices"][0]["finish_reason"] or finish
        assert (number > 200, finish) == (True, "length")
        for shift in (-20 * YEAR_S, 20 * YEAR_S):
            (tmp_path / "shift").write_text(str(shift))
            found = client.post(CHAT, json={**body, "stream": False, "max_tokens": 2})
            assert found.status_code == 200
            created.add(round((found.json()["created"] - time.time()) / YEAR_S))
    assert created == {-20, 20}  # the program did see it
    assert time.monotonic() - began < 60
    stop(served)

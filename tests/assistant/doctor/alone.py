"""A program in a network of its own, as `bedside doctor --egress` makes one; skipped where there is none to be had."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_PROJECT = Path(__file__).parents[3]
_BEGIN = """
import json, socket, sys
from assistant.doctor.egress.namespace import leave_the_network
from assistant.errors import ProofError
try:
    leave_the_network()
except ProofError as error:
    sys.exit(f"REFUSED {error}")
from pathlib import Path
from assistant.doctor.egress import control, way_out
from assistant.doctor.egress.counter import Counter
from assistant.doctor.egress.inside import _settle
way_out.make_way_out()
"""


def alone(program: str, *arguments: str, environment: dict[str, str] | None = None, before: Sequence[str] = ()) -> Any:
    """What the program prints as JSON; `before` is a command that runs it with fewer rights."""
    command = [*before, sys.executable, "-W", "ignore", "-c", _BEGIN + textwrap.dedent(program), *arguments]
    done = subprocess.run(
        command, cwd=_PROJECT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if "REFUSED" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

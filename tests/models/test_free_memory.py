"""What this process may still take, under a control group's limit and without."""

from pathlib import Path

import psutil
import pytest

from models.free_memory import free_memory_bytes
from tests.models.control_groups import control_group


def test_a_control_group_limits_what_is_free(tmp_path: Path) -> None:
    assert free_memory_bytes(control_group(tmp_path / "a", str(2**28), 2**27)) == 2**27
    available = psutil.virtual_memory().available
    assert free_memory_bytes(control_group(tmp_path / "b", "max", 0)) == pytest.approx(available, rel=0.2)
    assert free_memory_bytes(tmp_path / "none") == pytest.approx(available, rel=0.2)

"""Who else was busy: a process that computes is found, and from a tenth of a core on it disturbs."""

import subprocess
import sys

import psutil
import pytest

from device.other_processes import OtherProcesses, Others


def test_a_busy_neighbour_is_named_and_counted() -> None:
    others = OtherProcesses()
    command = [sys.executable, "-c", "import time\nwhile time.process_time() < 30: pass"]
    with subprocess.Popen(command) as process:
        try:
            name, found = psutil.Process(process.pid).name(), others.so_far()
            while (
                name not in found.busiest or not found.cores
            ) and process.poll() is None:  # until the kernel has given it some time
                found = others.so_far()
        finally:
            process.kill()
    assert found.busiest[name] > 0.05
    assert found.cores > 0


@pytest.mark.parametrize(("cores", "disturb"), [(0.09, False), (0.11, True)])
def test_neighbours_that_take_too_much_disturb(cores: float, disturb: bool) -> None:
    assert Others(cores, {}).disturb is disturb

"""The check of what sampling costs reads real files and can fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sampling import CHIP, RailFiles, make_files, verdict
from device.errors import ReadingError, SourceUnavailableError
from device.system import System
from device.trace import Cost, Failure, make_trace

SAMPLED = make_trace(RailFiles.meter, np.arange(600) / 10, np.full(600, 5.0))


def test_it_reads_the_rails_of_its_files(tmp_path: Path) -> None:
    make_files(tmp_path)
    source = RailFiles(System(tmp_path))
    reading = source.read()
    assert reading.power_w == pytest.approx(5.006848)
    assert reading.rails_w == pytest.approx({"VDD_CPU_GPU_CV": 0.553728, "VDD_SOC": 1.500544})
    (tmp_path / CHIP.lstrip("/") / "curr1_input").unlink()
    with pytest.raises(ReadingError, match="curr1_input"):
        source.read()


def test_no_chip_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="no ina3221"):
        RailFiles(System(tmp_path))


@pytest.mark.parametrize(("cpu_s", "is_good"), [(0.59, True), (0.6, False), (3.0, False)])
def test_one_percent_of_a_core_is_the_limit(cpu_s: float, is_good: bool) -> None:
    text, found = verdict(replace(SAMPLED, cost=Cost(cpu_s, 60.0)))
    assert found is is_good
    assert f"{cpu_s / 60:.3%} of one core" in text


def test_what_was_not_sampled_is_not_cheap() -> None:
    cheap = Cost(0.01, 60.0)
    assert not verdict(replace(SAMPLED, cost=cheap, failures=(Failure(1.0, "no data"),)))[1]
    assert not verdict(replace(SAMPLED, cost=cheap, ended="gone"))[1]
    assert not verdict(make_trace(RailFiles.meter, np.array([])))[1]

"""SIGKILL inside every stage and at arbitrary moments, and a disk that fills: the next run ends with the same files."""

import random
import signal
import time
from pathlib import Path

import pytest

from models.errors import StorageError
from tests.compressor.runs import compress, file_size_limit, hashes, start, wait_for

pytestmark = pytest.mark.usefixtures("one_core")
STAGES = (
    "01-calibrate",
    "02-saliency",
    "03-mask",
    "04-prune",
    "05-reconstruct",
    "07-export",
    "08-quantize",
    "09-evaluate",
)


def test_killed_inside_every_stage_in_turn(tiny_folder: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for stage in STAGES:
        process = start(tiny_folder, tmp_path, out)
        wait_for((out / "stages" / stage / "key").is_file, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    compress(tiny_folder, tmp_path, out)
    assert hashes(out) == hashes(finished)


@pytest.mark.slow
def test_killed_at_arbitrary_moments(tiny_folder: Path, finished: Path, tmp_path: Path) -> None:
    out, moments = tmp_path / "run", random.Random(7)
    for _ in range(20):
        process = start(tiny_folder, tmp_path, out)
        wait_for(out.exists, process)
        time.sleep(moments.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    compress(tiny_folder, tmp_path, out)
    assert hashes(out) == hashes(finished)


@pytest.mark.parametrize("room_bytes", [20_000, 60_000, 150_000])
def test_a_full_disk_is_one_line_and_the_next_run_continues(
    room_bytes: int, tiny_folder: Path, finished: Path, tmp_path: Path
) -> None:
    """Each limit stops another file in its middle: statistics, a layer's slices, a shard or the GGUF."""
    with pytest.raises(StorageError, match="no space left while writing"), file_size_limit(room_bytes):
        compress(tiny_folder, tmp_path, tmp_path / "run")
    assert not list((tmp_path / "run").glob("**/*.partial"))
    compress(tiny_folder, tmp_path, tmp_path / "run")
    assert hashes(tmp_path / "run") == hashes(finished)

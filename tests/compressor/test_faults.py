"""SIGKILL inside every stage and at arbitrary moments, and a disk that fills: the next run ends with the same files."""

import random
import signal
import time
from pathlib import Path

import pytest

from models.errors import StorageError
from tests.compressor.apart import Death, run_apart
from tests.compressor.runs import compress, file_size_limit, hashes, start, wait_for

pytestmark = pytest.mark.usefixtures("one_core")
STAGES = (
    "01-calibrate",
    "02-saliency",
    "03-mask",
    "04-prune",
    "05-reconstruct",
    "06-heal",
    "07-export",
    "08-quantize",
    "09-evaluate",
)
RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[saliency]
criterion = "{criterion}"
[mask]
method = "{method}"
multiple = 32
steps = 8
evaluations = 2
[budget]
ffn_share = 0.5
[reconstruct]
target = "best"
ridge = [0.01, 0.1]
[heal]
data = "starter"
grounded_share = 0.0
learning_rate = 0.02
batch_rows = 4
tokens_per_row = 64
steps = 4
tuning_rows = 4
evaluate_every = 2
[evaluate]
documents = 2
context_tokens = 64
"""


@pytest.mark.parametrize(
    ("method", "criterion"),
    [("search", "obs-exact"), pytest.param("learned", "taylor", marks=pytest.mark.slow)],
)
def test_killed_in_the_middle_of_every_stage(tiny_folder: Path, tmp_path: Path, method: str, criterion: str) -> None:
    """Before a file that the stage has done is put in its place: its first one, and one further on drawn by seed."""
    recipe, out, moments = tmp_path / "killed.toml", tmp_path / "run", random.Random(7)
    recipe.write_text(RECIPE.format(method=method, criterion=criterion), "utf-8")
    assert run_apart(tiny_folder, recipe, tmp_path / "whole") == 0
    for stage in STAGES:
        for files in (1, moments.randint(2, 5)):
            assert run_apart(tiny_folder, recipe, out, Death(stage, files)) == -signal.SIGKILL
    assert run_apart(tiny_folder, recipe, out) == 0
    assert hashes(out) == hashes(tmp_path / "whole")
    assert not [path for path in out.glob("**/*.partial") if path.is_file()]
    assert {path.parent.name for path in out.glob("stages/*/manifest.json")} == set(STAGES)


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

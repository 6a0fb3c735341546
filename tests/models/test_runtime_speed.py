"""Speed by our own clock: the figures must fit the time that really passed."""

import time
from pathlib import Path

import pytest

from models.errors import RuntimeFailure
from models.runtime.speed import measure_speed
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape


def test_figures_add_up_to_the_time_that_passed(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", Shape(hidden_size=256, layers=4, ffn_size=512, head_dim=64), "q4_0")
    started = time.monotonic()
    speed = measure_speed(path, 64, 32, threads=1, runs=3)
    elapsed_s = time.monotonic() - started
    decode_s = speed.decode_tokens / speed.decode_tokens_per_s
    assert speed.ttft_s == pytest.approx(speed.prompt_tokens / speed.prompt_tokens_per_s)
    assert 0 < 2 * (speed.ttft_s + decode_s) < elapsed_s  # two of three runs take at least the median
    assert speed.prompt_tokens_per_s > speed.decode_tokens_per_s
    assert (speed.threads, speed.runs) == (1, 3)


def test_empty_measurements_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="each must be 1 or more"):
        measure_speed(tmp_path / "m.gguf", 0, 5)

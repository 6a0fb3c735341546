"""Random weights in a tiny shape, a file without a chat template, a recording, and one core for llama.cpp."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import TINY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(
        tmp_path_factory.mktemp("models") / "tiny.gguf", replace(TINY, hidden_size=256, head_dim=64), "q4_0"
    )


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """llama.cpp's threads spin: with a busy neighbour one core is a hundred times faster than two."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Ten minutes at 7 W, in steps of 0.02 s."""
    path = tmp_path / "meter.csv"
    path.write_text("# scope: supply\nt_s,p_w\n" + "".join(f"{step / 50},7.0\n" for step in range(30_001)), "utf-8")
    return path

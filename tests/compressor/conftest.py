"""One tiny saved model for all tests that only read it; one core where llama.cpp runs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compressor.runs import compress
from tests.compressor.tiny import make_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    make_model(folder)
    return folder


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """llama.cpp's threads spin: with a busy neighbour one core is a hundred times faster than two."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def finished(tiny_folder: Path, one_core: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    compress(tiny_folder, out.parent, out)
    return out

"""One tiny saved model for all tests that only read it."""

from pathlib import Path

import pytest

from tests.compressor.tiny import make_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    make_model(folder)
    return folder

"""The real command, the small model and the environment of the assistant's tests, and a server for each module."""

from collections.abc import Iterator

import pytest

from tests.assistant.conftest import bedside, environment, tiny_model
from tests.assistant.server.conftest import Served, start, stop

__all__ = ["bedside", "environment", "served", "tiny_model"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Served]:
    """A server that every test of the module leaves alive."""
    running = start(tmp_path_factory.mktemp("served"), environment)
    yield running
    stop(running)

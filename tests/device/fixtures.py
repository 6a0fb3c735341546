"""Recorded and constructed answers of real meters, beside the data that BEDSIDE_DATA names; their origins are in SOURCES.md."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

POWER = Path(os.environ.get("BEDSIDE_DATA", "absent")).parent / "fixtures" / "power"
_HERE = (POWER / "EXPECTED.json").exists()


def shared(test: Any) -> Any:
    """Mark a test that needs them."""
    skip = pytest.mark.skipif(not _HERE, reason="BEDSIDE_DATA is not set, or has no fixtures/power beside it")
    return pytest.mark.shared(skip(test))


def expected() -> dict[str, dict[str, Any]]:
    """What each of them says, as an independent parser found it; nothing where they are absent."""
    if not _HERE:
        return {}
    found: dict[str, dict[str, Any]] = json.loads((POWER / "EXPECTED.json").read_text("utf-8"))
    return found


def names(prefix: str) -> list[str]:
    """Entries that begin with `prefix`; one that is not there, for the skipped test, where they are absent."""
    return [name for name in expected() if name.startswith(prefix)] or [f"{prefix}*"]

"""The benchmark of the history measures what it says, and can fail."""

from pathlib import Path

import pytest

from benchmarks import history


def test_it_fills_opens_and_searches(tmp_path: Path) -> None:
    timings = {timing.what: timing for timing in history.measure(tmp_path / "history", 60)}
    assert {f"search {query!r}" for query in history.QUERIES} < timings.keys()
    assert all(0 < timing.median_s <= timing.longest_s for timing in timings.values())
    assert not timings["unlock by passphrase"].is_limited


def test_it_makes_as_many_messages_as_it_is_told() -> None:
    found = list(history.conversations(1000))
    assert sum(len(messages) for _, messages in found) == 1000
    assert len(
        {message.id for _, messages in found for message in messages} | {each.id for each, _ in found}
    ) == 1000 + len(found)


def test_what_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(history, "LIMIT_S", 1e-9)
    assert history.main(["--messages", "20"]) == 1
    assert "20 messages" in capsys.readouterr().out

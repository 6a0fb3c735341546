"""What is measured once is kept for this board, and for no other."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from device import bandwidth, speed_probe, speed_profile
from device.other_processes import Others
from device.speed_profile import board_key, profile_path, read_profile
from models.errors import StorageError
from tests.device.test_speed_probe import TINY_PROBES


class Neighbours:
    """Processes that take so many cores, whatever runs beside the tests."""

    def __init__(self, cores: float) -> None:
        self._cores = cores

    def so_far(self) -> Others:
        return Others(self._cores, {"make": self._cores})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(speed_probe, "PROBES", TINY_PROBES)
    monkeypatch.setattr(bandwidth, "_MEASURE_S", 0.0)
    monkeypatch.setattr(speed_profile, "OtherProcesses", lambda: Neighbours(0.01))
    return tmp_path / "cache"


def test_a_second_time_nothing_is_measured(cache: Path) -> None:
    said = list[str]()
    first, measured = speed_profile.speed_profile(1, again=False, say=said.append)
    assert measured
    assert said[0] == "measuring memory bandwidth"
    assert len(said) == 1 + len(TINY_PROBES)
    second, measured = speed_profile.speed_profile(1, again=False, say=said.append)
    assert not measured
    assert second == first
    assert len(said) == 1 + len(TINY_PROBES)
    assert [file.parent for file in cache.glob("**/speed-*.json")] == [cache / "bedside"]
    _, measured = speed_profile.speed_profile(1, again=True, say=said.append)
    assert measured


def test_what_others_disturbed_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_profile, "OtherProcesses", lambda: Neighbours(3.0))
    disturbed, measured = speed_profile.speed_profile(1, again=False, say=lambda _: None)
    assert measured
    assert disturbed.others == Others(3.0, {"make": 3.0})
    assert not list(cache.glob("**/speed-*.json"))
    monkeypatch.setattr(speed_profile, "OtherProcesses", lambda: Neighbours(0.0))
    later, measured = speed_profile.speed_profile(1, again=False, say=lambda _: None)
    assert measured
    assert not later.others.disturb


def test_another_number_of_threads_is_another_profile() -> None:
    assert profile_path(board_key(1)) != profile_path(board_key(2))
    assert profile_path(board_key(1)) == profile_path(board_key(1))


COSTS = {
    "threads": 4, "token_s": 1e-4, "layer_s": 2e-5, "matrix_byte_s": 2.5e-11, "output_byte_s": 3e-11, "multiply_add_s": 4e-12,
    "activation_s": 2e-10, "answer_score_s": 1e-9, "answer_element_s": 5e-11, "prompt_score_s": 2e-9,
    "prompt_element_s": 1e-11,
}  # fmt: skip
MEASURED = {"bytes_per_s": 4e10, "threads": 1, "buffer_bytes": 1 << 28, "method": "read test"}
KEPT: dict[str, Any] = {
    "costs": COSTS, "bandwidth": MEASURED, "measured_at": "2026-11-22T05:00:00+00:00",
    "others": {"cores": 0.02, "busiest": {}},
}  # fmt: skip


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"key": {"threads": 1}, **KEPT}))
    found = read_profile(path, {"threads": 1})
    assert found is not None
    assert asdict(found) == KEPT
    assert read_profile(path, {"threads": 2}) is None
    assert read_profile(tmp_path / "none.json", {"threads": 1}) is None


@pytest.mark.parametrize(
    "damaged",
    [
        {"costs": {**COSTS, "token_s": -1.0}},
        {"costs": {**COSTS, "token_s": "much"}},
        {"costs": {**COSTS, "layer_s": float("nan")}},
        {"costs": {**COSTS, "more": 1.0}},
        {"costs": {}},
        {"costs": None},
        {"bandwidth": {**MEASURED, "bytes_per_s": 0}},
        {"bandwidth": {}},
        {"bandwidth": [1]},
        {"others": {"cores": 2.0, "busiest": {"make": 2.0}}},
        {"others": {"cores": "many", "busiest": {}}},
        {"others": None},
    ],
)
def test_a_damaged_file_is_measured_again(tmp_path: Path, damaged: dict[str, Any]) -> None:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"key": {}, **KEPT, **damaged}))
    assert read_profile(path, {}) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b'{"key": {}}'])
def test_what_is_no_profile_is_measured_again(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "speed.json"
    path.write_bytes(text)
    assert read_profile(path, {}) is None


def test_a_folder_that_cannot_be_made_is_one_line(cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(StorageError, match="cache"):
        speed_profile.speed_profile(1, again=False, say=lambda _: None)

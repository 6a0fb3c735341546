"""Damaged state of an interrupted walk costs time, never the run; a damaged artifact is named."""

from pathlib import Path

import pytest
import torch

from compressor.storage import load_state, load_tensors, save_tensors
from compressor.walk import StreamCheckpoint
from models.errors import StorageError


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    walk = StreamCheckpoint(tmp_path / "state.safetensors")
    assert walk.load() == (0, {})
    walk.save(3, {"a": torch.arange(4.0)})
    layer, tensors = walk.load()
    assert layer == 3
    assert torch.equal(tensors["a"], torch.arange(4.0))


@pytest.mark.parametrize("left", [b"", b"garbage that is no safetensors file", None])
def test_a_damaged_state_begins_again(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.arange(400.0)}, {"next_layer": "3"})
    path.write_bytes(path.read_bytes()[:-100] if left is None else left)
    with pytest.raises(StorageError, match=r"state\.safetensors is damaged .* delete it"):
        load_tensors(path)
    assert load_state(path) is None
    assert not path.exists()
    assert StreamCheckpoint(path).load() == (0, {})

"""Files of random weights: their width, their size known before, gone afterwards."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from device.bench import random_file as module
from device.bench.random_file import file_name, pruned_shape, random_file
from device.command import app
from device.errors import BenchError
from models.errors import StorageError
from models.gguf_header import read_header
from models.synthetic.gguf import tensor_bytes, write_gguf
from models.synthetic.shapes import LLAMA_3_8B, SHAPES, TINY, Shape


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Shape:
    shape = Shape(hidden_size=256, ffn_size=1024, head_dim=64)
    monkeypatch.setattr(module, "SHAPES", {"small": shape})
    return shape


def test_help_names_every_shape() -> None:
    text = " ".join(CliRunner().invoke(app, ["bench", "--help"], env={"COLUMNS": "300"}).stdout.split())
    assert ", ".join(SHAPES) in text


def test_widths_are_whole_multiples_of_256() -> None:
    assert pruned_shape("llama-3-8b", 0.0) == LLAMA_3_8B
    assert pruned_shape("llama-3-8b", 0.67).ffn_size == 4608
    assert pruned_shape("llama-3-8b", 0.5).ffn_size == 7168
    assert pruned_shape("llama-3-8b", 0.99).ffn_size == 256
    assert file_name("llama-3-8b", 0.67) == "llama-3-8b-67-random-q4_0.gguf"
    with pytest.raises(BenchError, match=r"no shape 'llama-4'; use one of llama-3\.2-1b, llama-3\.2-3b, llama-3-8b"):
        pruned_shape("llama-4", 0.0)


def test_the_file_is_gone_afterwards_unless_it_is_to_stay(tmp_path: Path, small: Shape) -> None:
    with random_file(tmp_path, "small", 0.5) as path:
        assert set(read_header(path).ffn_widths) == {512}
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), random_file(tmp_path, "small", 0.5):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with random_file(tmp_path, "small", 0.0, keep=True) as path:
        assert small.ffn_size == read_header(path).ffn_widths[0]
    assert [file.name for file in tmp_path.iterdir()] == ["small-random-q4_0.gguf"]


def test_its_size_is_known_before_it_is_written(tmp_path: Path) -> None:
    shape = Shape(hidden_size=256, head_dim=64)
    for file_type in ("f32", "q4_0"):
        header = read_header(write_gguf(tmp_path / "m.gguf", shape, file_type))
        assert tensor_bytes(shape, file_type) == header.tensor_bytes
    assert tensor_bytes(TINY, "f32") == 4 * read_header(write_gguf(tmp_path / "t.gguf", TINY, "f32")).n_params


def test_a_disk_without_room_is_refused_before_writing(
    tmp_path: Path, small: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_space", lambda _: 1 << 20)
    with pytest.raises(StorageError, match="not enough room"), random_file(tmp_path, "small", 0.0):
        raise AssertionError("it was written")
    assert list(tmp_path.iterdir()) == []

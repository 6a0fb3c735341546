"""Bytes per token against sums by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from device.bench.traffic import bytes_per_token, cache_bytes, weight_bytes_per_token
from models.gguf_header import read_header
from models.gguf_layout import TensorInfo
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

SHAPE = Shape(vocab_size=512, hidden_size=64, layers=3, ffn_size=96, heads=4, kv_heads=2, head_dim=16)
LAYER = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 96 + 2 * 64  # q, k and v, o, the FFN, two norms


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_beside_an_output_matrix_gives_one_row(tmp_path: Path, tied: bool) -> None:
    """Tied, all of it is read: it is the output matrix."""
    header = read_header(write_gguf(tmp_path / "m.gguf", replace(SHAPE, tied=tied), "f32"))
    matrices = 512 * 64 + (0 if tied else 64)
    assert weight_bytes_per_token(header) == 4 * (3 * LAYER + 64 + matrices)


def test_of_experts_only_those_in_use_count(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", SHAPE, "f32"))
    experts = TensorInfo("blk.0.ffn_up_exps.weight", (64, 96, 8), "F32", 0, 4 * 64 * 96 * 8)
    metadata = {**header.metadata, "llama.expert_count": 8, "llama.expert_used_count": 2}
    mixed = replace(header, tensors=(*header.tensors, experts), metadata=metadata)
    assert weight_bytes_per_token(mixed) - weight_bytes_per_token(header) == 4 * 64 * 96 * 2


def test_the_cache_is_that_of_the_middle_of_the_answer(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", SHAPE, "f32"))
    per_token = 3 * 2 * (16 + 16) * 2  # layers, KV heads, key and value, F16
    assert cache_bytes(header, 100) == 100 * per_token
    assert bytes_per_token(header, 128, 256) == weight_bytes_per_token(header) + 256 * per_token

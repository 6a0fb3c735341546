"""llama.cpp over a synthetic F32 file against a forward pass in numpy: weights, layout and decoding at once."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.models.llama_in_numpy import llama_logits, weights_of

UNTIED = Shape(vocab_size=600, hidden_size=96, layers=3, ffn_size=160, heads=6, kv_heads=3, head_dim=16, tied=False)


def decoded_logits(path: Path, tokens: list[int]) -> NDArray[np.float32]:
    with (
        Model.load(path) as model,
        Context(model, 256, threads=1, kv_type="f32", flash_attention=False) as context,
        Batch(len(tokens)) as batch,
    ):
        rows = [batch.add(token, position, [0], True) for position, token in enumerate(tokens)]
        context.decode(batch)
        return np.stack([context.logits(row) for row in rows])


@pytest.mark.parametrize("shape", [Shape(), UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("widths", [None, [96, 32, 64]], ids=["llama", "deci"])
def test_f32_file_gives_the_logits_of_the_architecture(tmp_path: Path, shape: Shape, widths: list[int] | None) -> None:
    layer_widths = widths[: shape.layers] if widths else None
    path = write_gguf(tmp_path / "m.gguf", shape, "f32", seed=7, ffn_widths=layer_widths)
    tokens = np.random.default_rng(1).integers(0, shape.vocab_size, 40).tolist()
    expected = llama_logits(shape, weights_of(shape, 7, layer_widths), tokens)
    assert np.abs(decoded_logits(path, tokens) - expected).max() < 1e-3
    assert np.abs(expected).max() > 1  # else the bound above would prove little


def test_f16_file_holds_the_same_model_and_another_seed_does_not(tmp_path: Path) -> None:
    shape = Shape()
    tokens = list(range(20, 60))
    expected = llama_logits(shape, weights_of(shape, 7), tokens)
    same = decoded_logits(write_gguf(tmp_path / "same.gguf", shape, "f16", seed=7), tokens)
    other = decoded_logits(write_gguf(tmp_path / "other.gguf", shape, "f16", seed=8), tokens)
    assert np.abs(same - expected).max() < 0.05
    assert np.abs(other - expected).max() > 1

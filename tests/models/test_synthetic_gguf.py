"""Synthetic GGUF files: every type loads and generates, and the file says what it holds."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from models.errors import ModelFileError, StorageError
from models.runtime.chat import ChatTemplate
from models.runtime.context import Context
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler, SamplingOptions
from models.synthetic.gguf import FileType, write_gguf
from models.synthetic.shapes import LLAMA_3_8B, LLAMA_32_1B, LLAMA_32_3B, Shape
from models.synthetic.vocabulary import VocabularyKind, make_vocabulary
from models.synthetic.weights import tensor_specs

WIDE = Shape(vocab_size=1100, hidden_size=256, ffn_size=512, head_dim=64)


@pytest.mark.parametrize("file_type", ["f32", "f16", "q4_0"])
@pytest.mark.parametrize("vocabulary", ["bpe", "spm"])
def test_a_file_loads_and_generates(tmp_path: Path, file_type: FileType, vocabulary: VocabularyKind) -> None:
    path = write_gguf(tmp_path / "m.gguf", WIDE, file_type, vocabulary=vocabulary)
    options = SamplingOptions(temperature=1.0, seed=1)
    with Model.load(path, check_tensors=True) as model, Context(model, 256, threads=1) as context:
        ids = ChatTemplate.from_model(model).prompt_ids(model, [{"role": "user", "content": "the dose"}])
        with Sampler(options) as sampler:
            tokens = list(generate(context, ids, sampler, 12))
    assert len(set(tokens)) > 3


def test_random_blocks_have_the_spread_of_the_weights(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", WIDE, "q4_0", ffn_widths=[256, 512])
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert {tensor.tensor_type.name for tensor in tensors.values()} == {"Q4_0", "Q6_K", "F32"}
    assert tensors["token_embd.weight"].tensor_type.name == "Q6_K"
    assert tensors["blk.0.ffn_down.weight"].shape.tolist() == [256, 256]
    for name in ("token_embd.weight", "blk.0.ffn_down.weight", "blk.1.ffn_down.weight", "blk.1.attn_q.weight"):
        tensor = tensors[name]
        values = gguf.quants.dequantize(np.array(tensor.data), tensor.tensor_type)
        assert values.std() * np.sqrt(values.shape[-1]) == pytest.approx(1.0, abs=0.1)


def test_same_seed_same_file(tmp_path: Path) -> None:
    first, second, third = (
        write_gguf(tmp_path / f"{number}.gguf", WIDE, "q4_0", seed).read_bytes()
        for number, seed in enumerate((1, 1, 2))
    )
    assert first == second
    assert first != third


def test_sizes_that_the_type_or_the_bytes_cannot_fill_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"mlp\.down_proj.* 40 columns, not a multiple of 32"):
        write_gguf(tmp_path / "m.gguf", Shape(ffn_size=40), "q4_0")
    with pytest.raises(ModelFileError, match="vocabulary of 200 is too small"):
        write_gguf(tmp_path / "m.gguf", Shape(vocab_size=200))
    with pytest.raises(StorageError, match="cannot write"):
        write_gguf(tmp_path / "absent" / "m.gguf", Shape())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["bpe", "spm"])
def test_vocabularies_have_the_size_asked_for_and_no_token_twice(kind: VocabularyKind) -> None:
    for size in (400, 5000):
        vocabulary = make_vocabulary(size, kind)
        assert len(vocabulary.tokens) == len(vocabulary.types) == size
        assert len(set(vocabulary.tokens)) == size


def test_published_shapes_have_the_published_parameter_counts() -> None:
    counts = [sum(spec.n_elements for spec in tensor_specs(shape)) for shape in (LLAMA_32_1B, LLAMA_32_3B, LLAMA_3_8B)]
    assert counts == [1_235_814_400, 3_212_749_824, 8_030_261_248]

"""What a token asks for: from the shape and from the file the same, and as counted by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from device.workload import Workload, workload_of_catalogue, workload_of_header
from models.catalogue import CatalogueModel, find_in_catalogue
from models.gguf_header import read_header
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

SHAPE = Shape(vocab_size=512, hidden_size=256, layers=3, ffn_size=512, heads=4, kv_heads=2, head_dim=32, tied=False)


def as_catalogue_model(shape: Shape) -> CatalogueModel:
    model = find_in_catalogue("llama-3-8b")
    assert model is not None
    shapes = replace(
        model.shapes,
        hidden=shape.hidden_size,
        ffn=shape.ffn_size,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab=shape.vocab_size,
        tied=shape.tied,
    )
    return replace(model, shapes=shapes)


def file_work(path: Path, shape: Shape, widths: list[int] | None = None) -> Workload:
    work = workload_of_header(read_header(write_gguf(path, shape, "q4_0", ffn_widths=widths)))
    assert work is not None
    return work


def test_counted_by_hand(tmp_path: Path) -> None:
    attention = 256 * 128 + 2 * 256 * 64 + 128 * 256
    ffn = 3 * 256 * 512
    assert file_work(tmp_path / "m.gguf", SHAPE) == Workload(
        layers=3,
        matrix_bytes=3 * (attention + ffn) * 18 // 32,
        multiply_adds=3 * (attention + ffn),
        activations=3 * (2 * (256 + 128) + 2 * (256 + 64) + 3 * (256 + 512)),
        last_ffn_multiply_adds=ffn,
        last_ffn_activations=3 * (256 + 512),
        heads=12,
        head_dim=32,
        output_bytes=512 * 256 * 210 // 256,
    )


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, tied=True, layers=5)])
def test_a_shape_and_its_file_ask_the_same(tmp_path: Path, shape: Shape) -> None:
    assert workload_of_catalogue(as_catalogue_model(shape)) == file_work(tmp_path / "m.gguf", shape)


def test_pruned_neurons_are_shared_out_evenly(tmp_path: Path) -> None:
    """Which layers keep more makes no difference to the sums; only the last layer's FFN is its own."""
    of_shape = workload_of_catalogue(as_catalogue_model(SHAPE), 3 * 256)
    assert of_shape == file_work(tmp_path / "even.gguf", SHAPE, [256, 256, 256])
    uneven = file_work(tmp_path / "uneven.gguf", SHAPE, [384, 256, 128])
    assert uneven.last_ffn_multiply_adds == 3 * 256 * 128
    assert uneven.last_ffn_activations == 3 * (256 + 128)
    assert replace(uneven, last_ffn_multiply_adds=0, last_ffn_activations=0) == replace(
        of_shape, last_ffn_multiply_adds=0, last_ffn_activations=0
    )


def test_what_a_token_reads_is_the_layers_and_the_output(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", SHAPE, "q4_0"))
    work = workload_of_header(header)
    assert work is not None
    passed_over = [tensor for tensor in header.tensors if tensor.name == "token_embd.weight" or len(tensor.shape) == 1]
    assert work.read_bytes == header.tensor_bytes - sum(tensor.n_bytes for tensor in passed_over)


def test_other_files_are_left_open(tmp_path: Path) -> None:
    assert workload_of_header(read_header(write_gguf(tmp_path / "f16.gguf", SHAPE, "f16"))) is None
    pooled = write_gguf(tmp_path / "pooled.gguf", SHAPE, "q4_0", pooling="mean")
    assert workload_of_header(read_header(pooled)) is None

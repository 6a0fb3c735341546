"""Checkpoints without torch: read back by hand and, where they are installed, by safetensors and transformers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import ModelFileError, StorageError
from models.synthetic.checkpoint import write_checkpoint
from models.synthetic.shapes import Shape
from models.synthetic.weights import checked_widths, tensor_specs
from tests.models.llama_in_numpy import llama_logits, weights_of

SHAPE = Shape(hidden_size=96, layers=3, heads=6, kv_heads=3, head_dim=32, tied=False)


def read_shard(path: Path) -> dict[str, NDArray[np.float32]]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    assert (8 + length) % 8 == 0
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        raw = data[8 + length + start : 8 + length + end]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).astype(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    assert len(data) == 8 + length + max(entry["data_offsets"][1] for entry in header.values())
    return tensors


def test_every_dtype_holds_the_same_weights_to_its_precision(tmp_path: Path) -> None:
    truth = weights_of(SHAPE, 5)
    for dtype, precision in (("f32", 0.0), ("f16", 2**-11), ("bf16", 2**-8)):
        tensors = read_shard(write_checkpoint(tmp_path / dtype, SHAPE, dtype, 5) / "model.safetensors")  # type: ignore[arg-type]
        assert set(tensors) == set(truth)
        for name, values in tensors.items():
            assert (np.abs(values - truth[name]) <= precision * np.abs(truth[name]) + 1e-7).all()


def test_shards_hold_each_tensor_once_and_the_index_finds_it(tmp_path: Path) -> None:
    whole = read_shard(write_checkpoint(tmp_path / "whole", SHAPE) / "model.safetensors")
    folder = write_checkpoint(tmp_path / "parts", SHAPE, max_shard_bytes=60_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 2 * sum(values.size for values in whole.values())
    assert len(set(index["weight_map"].values())) > 3
    for name, file in index["weight_map"].items():
        assert np.array_equal(read_shard(folder / file)[name], whole[name])
    assert not list(folder.glob(".*"))


def test_transformers_computes_the_logits_of_the_architecture(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = write_checkpoint(tmp_path / "m", SHAPE, "f32", 5, max_shard_bytes=100_000)
    tokens = np.random.default_rng(0).integers(0, SHAPE.vocab_size, 30).tolist()
    with torch.no_grad():
        logits = transformers.AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([tokens])).logits[0].numpy()
    assert np.abs(logits - llama_logits(SHAPE, weights_of(SHAPE, 5), tokens)).max() < 1e-3


def test_a_tokenizer_folder_is_copied(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    folder = write_checkpoint(tmp_path / "m", Shape(), tokenizer=tmp_path / "tokenizer")
    assert (folder / "tokenizer.json").read_text() == "{}"
    with pytest.raises(StorageError, match="cannot fill"):
        write_checkpoint(tmp_path / "n", Shape(), tokenizer=tmp_path / "absent")


def test_memory_stays_far_below_the_checkpoint(tmp_path: Path) -> None:
    shape = Shape(hidden_size=1024, layers=4, ffn_size=3072, heads=16, kv_heads=4, head_dim=64)
    total_bytes = 2 * sum(spec.n_elements for spec in tensor_specs(shape))
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from models.synthetic.checkpoint import write_checkpoint; from models.synthetic.shapes import Shape\n"
        f"before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nwrite_checkpoint(Path(sys.argv[1]), {shape!r})\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "m"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < total_bytes / 3


@pytest.mark.parametrize("sizes", [{"heads": 5}, {"head_dim": 3}, {"layers": 0}, {"vocab_size": 0}])
def test_impossible_shapes_are_named(sizes: dict[str, int]) -> None:
    with pytest.raises(ModelFileError, match=r"heads cannot share|empty dimension"):
        Shape(**sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize("widths", [[64], [64, 0]])
def test_impossible_widths_are_named(widths: list[int]) -> None:
    with pytest.raises(ModelFileError, match="do not fit 2 layers"):
        checked_widths(Shape(), widths)

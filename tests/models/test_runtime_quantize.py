"""llama.cpp's quantizer through our door: its types, its rounding, and nothing half-written."""

import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import ModelFileError, RuntimeFailure, StorageError
from models.runtime.quantize import quantize
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

SHAPE = Shape(hidden_size=256, ffn_size=512, layers=8, heads=4, kv_heads=2, head_dim=64)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("quantize") / "f32.gguf", SHAPE, "f32", seed=2)


def types(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}


def values(path: Path, name: str) -> NDArray[np.float32]:
    tensor = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)
    return np.asarray(gguf.quants.dequantize(np.array(tensor.data), tensor.tensor_type))


def ffn_down_importance(columns: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {f"blk.{layer}.ffn_down.weight": columns for layer in range(SHAPE.layers)}


def test_q4_0_holds_the_expected_types_and_ggml_rounding(source: Path, tmp_path: Path) -> None:
    target = quantize(source, tmp_path / "q4_0.gguf", threads=1)
    found = types(target)
    assert {found.pop("token_embd.weight"), found.pop("output_norm.weight")} == {"Q6_K", "F32"}
    assert all(kind == ("F32" if name.endswith("norm.weight") else "Q4_0") for name, kind in found.items())
    name = "blk.3.ffn_up.weight"
    original, packed = (
        next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name) for path in (source, target)
    )
    reference = gguf.quants.quantize(np.array(original.data), gguf.GGMLQuantizationType.Q4_0)
    assert (np.array(packed.data) == reference).mean() > 0.999


def test_important_columns_are_rounded_better_and_types_can_be_held(source: Path, tmp_path: Path) -> None:
    important = np.arange(SHAPE.ffn_size) % 4 == 0
    imatrix = ffn_down_importance(np.where(important, 1000.0, 1.0))
    plain = quantize(source, tmp_path / "plain.gguf", threads=1)
    weighted = quantize(source, tmp_path / "weighted.gguf", threads=1, imatrix=imatrix)
    held = quantize(source, tmp_path / "held.gguf", threads=1, imatrix=imatrix, tensor_types={"ffn_down": "q4_0"})
    assert types(weighted)["blk.0.ffn_down.weight"] == "Q4_1"  # what the override is for
    for layer in range(SHAPE.layers):
        name = f"blk.{layer}.ffn_down.weight"
        assert types(held)[name] == "Q4_0"
        errors = [np.square(values(path, name) - values(source, name))[:, important].mean() for path in (plain, held)]
        assert errors[1] < 0.8 * errors[0]


def test_a_wrong_importance_size_is_refused_and_leaves_no_file(source: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"cannot quantize .*imatrix size 3 is different from tensor size 512"):
        quantize(source, tmp_path / "q.gguf", threads=1, imatrix={"blk.0.ffn_down.weight": np.ones(3)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["q9_9", "count", ""])
def test_unknown_types_are_named(source: Path, tmp_path: Path, kind: str) -> None:
    with pytest.raises(RuntimeFailure, match="is unknown; use one of"):
        quantize(source, tmp_path / "q.gguf", kind)
    with pytest.raises(RuntimeFailure, match="is unknown; use one of"):
        quantize(source, tmp_path / "q.gguf", tensor_types={"ffn": kind})


def test_wrong_sources_are_refused_and_the_old_target_stays(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "q.gguf"
    target.write_bytes(b"old")
    with pytest.raises(ModelFileError, match="no model file"):
        quantize(tmp_path / "absent.gguf", target)
    (tmp_path / "cut.gguf").write_bytes(source.read_bytes()[:4000])
    with pytest.raises(RuntimeFailure, match=r"cannot quantize .*cut\.gguf: .*failed to quantize"):
        quantize(tmp_path / "cut.gguf", target)
    already = quantize(source, tmp_path / "q4_0.gguf", threads=1)
    with pytest.raises(RuntimeFailure, match=r"cannot quantize .*requantizing from type q6_K is disabled"):
        quantize(already, target, "q8_0", threads=1)
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"q.gguf", "cut.gguf", "q4_0.gguf"}


def test_a_missing_folder_is_a_storage_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*No such file or directory"):
        quantize(source, tmp_path / "absent" / "q.gguf")


def test_a_full_disk_is_a_storage_error_and_leaves_no_file(source: Path, tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from models.errors import StorageError\n"
        "from models.runtime.quantize import quantize\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    quantize(sys.argv[1], sys.argv[2], threads=1)\n"
        "except StorageError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "q.gguf")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout
    assert "disk is full" in done.stdout
    assert list(tmp_path.iterdir()) == []

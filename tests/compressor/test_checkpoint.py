"""Incomplete and damaged checkpoints are refused with the file's name."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from compressor.checkpoint import INDEX, Checkpoint, Overlay, TensorFiles
from compressor.errors import CheckpointError, FamilyError
from compressor.families import find_family


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def shard(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / file)
    index = {name: file for file, held in parts.items() for name in held}
    (folder / INDEX).write_text(json.dumps({"weight_map": index}), "utf-8")
    (folder / "model.safetensors").unlink()


def test_sharded_and_single_hold_the_same(folder: Path) -> None:
    before = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    shard(folder)
    checkpoint = Checkpoint(folder)
    assert checkpoint.names() == sorted(before)
    for name, tensor in before.items():
        assert torch.equal(checkpoint.tensor(name), tensor)
        assert checkpoint.shape(name) == tuple(tensor.shape)


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard(folder)
    (folder / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"b\.safetensors is missing"):
        Checkpoint(folder).weight_files()


def test_a_truncated_file_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        Checkpoint(folder).weight_files()


def test_nan_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight .* NaN"):
        Checkpoint(folder).tensor("model.norm.weight")


def test_a_folder_without_weights_or_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        Checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(CheckpointError, match="no safetensors"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (INDEX, {"weight_map": ["a.safetensors"]}, "weight_map of names to files"),
        ("config.json", {"architectures": "LlamaForCausalLM"}, r"architectures = 'LlamaForCausalLM' instead of a list"),
        (
            "config.json",
            {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": 3},
            "text_config = 3 instead of a table",
        ),
    ],
)
def test_malformed_metadata_is_named(folder: Path, file: str, content: dict[str, object], says: str) -> None:
    (folder / file).write_text(json.dumps(content), "utf-8")
    with pytest.raises(CheckpointError, match=says):
        Checkpoint(folder)


def test_an_overlay_wins(folder: Path, tmp_path: Path) -> None:
    save_file({"model.norm.weight": torch.ones(3)}, tmp_path / "top.safetensors")
    overlay = Overlay(Checkpoint(folder), TensorFiles.scan([tmp_path / "top.safetensors"]))
    assert overlay.shape("model.norm.weight") == (3,)
    assert overlay.names() == Checkpoint(folder).names()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel is not supported; supported are LlamaForCausalLM"),
        ({"architectures": ["LlamaForCausalLM"], "mlp_bias": True}, "mlp_bias = true"),
        ({"architectures": ["LlamaForCausalLM"], "rope_scaling": {"type": "yarn"}}, "rope scaling yarn"),
        ({"architectures": ["LlamaForCausalLM"], "hidden_act": "gelu"}, "hidden_act = gelu"),
    ],
)
def test_what_the_family_would_get_wrong_is_refused(config: dict[str, object], says: str) -> None:
    with pytest.raises(FamilyError, match=says):
        find_family(config).shape(config)

"""The pruned model as a Hugging Face folder in bfloat16."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from compressor.checkpoint import INDEX, TensorSource
from compressor.families.contract import Family, ModelShape
from compressor.storage import disk_errors, save_tensors, write_text

SHARD_BYTES = 2_000_000_000
_COPIED = (
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template*",
    "generation_config.json",
    "LICENSE*",
    "vocab.json",
    "merges.txt",
)


def ffn_widths(source: TensorSource, family: Family, shape: ModelShape) -> tuple[int, ...]:
    """Width of every layer, read from the gate matrices."""
    return tuple(source.shape(family.layer_names(layer).gate)[0] for layer in range(shape.layers))


def export_hf(
    source: TensorSource, dense_folder: Path, widths: Sequence[int], out: Path, shard_bytes: int = SHARD_BYTES
) -> None:
    """Write `out` whole or not at all. Equal widths load in plain transformers. Raises StorageError."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with disk_errors(out):
        try:
            partial.mkdir(parents=True)
            _copy_settings(dense_folder, partial, widths)
            _write_shards(source, partial, shard_bytes)
            shutil.rmtree(out, ignore_errors=True)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _copy_settings(dense_folder: Path, folder: Path, widths: Sequence[int]) -> None:
    for pattern in _COPIED:
        for path in sorted(dense_folder.glob(pattern)):
            shutil.copyfile(path, folder / path.name)
    config = json.loads((dense_folder / "config.json").read_text("utf-8"))
    write_text(folder / "config.json", json.dumps(pruned_config(config, widths), indent=2, sort_keys=True) + "\n")


def pruned_config(config: Mapping[str, Any], widths: Sequence[int]) -> dict[str, Any]:
    """config.json of the pruned model; `intermediate_sizes` lists unequal widths (not for plain transformers)."""
    result = {key: value for key, value in config.items() if key != "torch_dtype"}
    result["dtype"] = "bfloat16"
    result["intermediate_size"] = max(widths)
    if len(set(widths)) > 1:
        result["intermediate_sizes"] = list(widths)
    return result


def _write_shards(source: TensorSource, folder: Path, shard_bytes: int) -> None:
    groups = _group(source, shard_bytes)
    if len(groups) == 1:
        _write_shard(source, groups[0], folder / "model.safetensors")
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(groups, start=1):
        shard = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        _write_shard(source, names, folder / shard)
        weight_map |= dict.fromkeys(names, shard)
    total = sum(_bytes(source, name) for name in weight_map)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")


def _write_shard(source: TensorSource, names: Sequence[str], path: Path) -> None:
    save_tensors(path, {name: source.tensor(name).to(torch.bfloat16) for name in names}, {"format": "pt"})


def _group(source: TensorSource, shard_bytes: int) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    filled = 0
    for name in source.names():
        size = _bytes(source, name)
        if groups[-1] and filled + size > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups


def _bytes(source: TensorSource, name: str) -> int:
    return 2 * int(torch.Size(source.shape(name)).numel())

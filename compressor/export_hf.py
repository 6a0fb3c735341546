"""The pruned model as a Hugging Face folder in bfloat16."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from compressor.checkpoint import INDEX, Checkpoint, TensorSource
from compressor.families import find_family
from compressor.families.contract import Family, ModelShape
from compressor.storage import disk_errors, save_tensors, write_text

SHARD_BYTES = 2_000_000_000
COPIED = (
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template*",
    "generation_config.json",
    "LICENSE*",
    "vocab.json",
    "merges.txt",
)
"""What hf/ takes over from the checkpoint as it is."""


def ffn_widths(source: TensorSource, family: Family, shape: ModelShape) -> tuple[int, ...]:
    """Width of every layer, read from the gate matrices."""
    return tuple(source.shape(family.layer_names(layer).gate)[0] for layer in range(shape.layers))


def export_hf(
    source: TensorSource, dense: Checkpoint, out: Path, shard_bytes: int = SHARD_BYTES, chat_template: str | None = None
) -> None:
    """Write the model of `source` beside `dense`'s tokenizer and settings, whole or not at all. Raises StorageError.

    `chat_template` is written for a model that has none. Equal widths load in plain transformers.
    Biases of down go along where the family has a place for them.
    """
    family = find_family(dense.config)
    shape = family.shape(dense.config)
    widths = ffn_widths(source, family, shape)
    ready = _fit_biases(source, family, shape)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with disk_errors(out):
        try:
            partial.mkdir(parents=True)
            _copy_settings(dense.folder, partial)
            if chat_template is not None:
                write_text(partial / "chat_template.jinja", chat_template)
            config = pruned_config(dense.config, widths, mlp_bias=isinstance(ready, _WithBiases))
            write_text(partial / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
            _write_shards(ready, partial, shard_bytes)
            shutil.rmtree(out, ignore_errors=True)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def has_down_bias(source: TensorSource, family: Family, shape: ModelShape) -> bool:
    """Whether pruning or reconstruction has given any layer's down a bias."""
    stored = frozenset(source.names())
    return any(family.layer_names(layer).down_bias in stored for layer in range(shape.layers))


def _fit_biases(source: TensorSource, family: Family, shape: ModelShape) -> TensorSource:
    if not has_down_bias(source, family, shape):
        return source
    if not family.hf_down_bias:
        return _Only(source, {family.layer_names(layer).down_bias for layer in range(shape.layers)})
    sizes: dict[str, int] = {}
    for layer in range(shape.layers):
        names = family.layer_names(layer)
        for weight in (names.gate, names.up, names.down):
            sizes[weight.removesuffix("weight") + "bias"] = source.shape(weight)[0]
    return _WithBiases(source, sizes)


class _Only:
    """A source without some of its tensors."""

    def __init__(self, base: TensorSource, hidden: set[str]) -> None:
        self._base, self._hidden = base, hidden

    def names(self) -> list[str]:
        return [name for name in self._base.names() if name not in self._hidden]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._base.shape(name)

    def tensor(self, name: str) -> torch.Tensor:
        return self._base.tensor(name)


class _WithBiases:
    """A source in which every FFN matrix has a bias, zero where it had none: transformers' `mlp_bias` is all or nothing."""

    def __init__(self, base: TensorSource, sizes: Mapping[str, int]) -> None:
        self._base = base
        stored = frozenset(base.names())
        self._zeros = {name: size for name, size in sizes.items() if name not in stored}

    def names(self) -> list[str]:
        return sorted([*self._base.names(), *self._zeros])

    def shape(self, name: str) -> tuple[int, ...]:
        return (self._zeros[name],) if name in self._zeros else self._base.shape(name)

    def tensor(self, name: str) -> torch.Tensor:
        return torch.zeros(self._zeros[name]) if name in self._zeros else self._base.tensor(name)


def _copy_settings(dense_folder: Path, folder: Path) -> None:
    for pattern in COPIED:
        for path in sorted(dense_folder.glob(pattern)):
            shutil.copyfile(path, folder / path.name)


def pruned_config(config: Mapping[str, Any], widths: Sequence[int], *, mlp_bias: bool = False) -> dict[str, Any]:
    """config.json of the pruned model; `intermediate_sizes` lists unequal widths (not for plain transformers)."""
    result = {key: value for key, value in config.items() if key != "torch_dtype"}
    result["dtype"] = "bfloat16"
    result["intermediate_size"] = max(widths)
    if mlp_bias:
        result["mlp_bias"] = True
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

"""Random-weight Hugging Face checkpoints of any Llama shape, streamed to safetensors shards without torch.

A safetensors file is eight bytes of header length, a JSON header with the offsets of every tensor, then the data.
"""

import json
import shutil
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.disk import replacing
from models.errors import StorageError
from models.synthetic.shapes import Shape
from models.synthetic.weights import TensorSpec, float_chunks, tensor_specs

Dtype = Literal["f32", "f16", "bf16"]

_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2}
_HEADER_ALIGNMENT = 8


def write_checkpoint(
    folder: Path,
    shape: Shape,
    dtype: Dtype = "bf16",
    seed: int = 0,
    *,
    tokenizer: Path | None = None,
    max_shard_bytes: int = 4 * 2**30,
) -> Path:
    """Write a random LlamaForCausalLM to `folder` (made where it is missing) and return it.

    `tokenizer`: a folder whose files are copied beside the weights. Raises StorageError where the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(tokenizer.iterdir()) if tokenizer else []:
            shutil.copyfile(file, folder / file.name)
    except OSError as error:
        raise StorageError(f"cannot fill {folder}: {error.strerror or error}; choose another folder") from error
    shards = _shards(tensor_specs(shape), dtype, max_shard_bytes)
    names = [_shard_name(number, len(shards)) for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write_shard(folder / name, shard, dtype, seed)
    if len(shards) > 1:
        _write_json(folder / "model.safetensors.index.json", _index(names, shards, dtype))
    _write_json(folder / "config.json", _config(shape, dtype))
    return folder


def _shards(specs: Sequence[TensorSpec], dtype: Dtype, max_shard_bytes: int) -> list[list[TensorSpec]]:
    shards: list[list[TensorSpec]] = [[]]
    held = 0
    for spec in specs:
        size = _n_bytes(spec, dtype)
        if shards[-1] and held + size > max_shard_bytes:
            shards.append([])
            held = 0
        shards[-1].append(spec)
        held += size
    return shards


def _shard_name(number: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"


def _write_shard(path: Path, specs: Sequence[TensorSpec], dtype: Dtype, seed: int) -> None:
    offsets = list(accumulate((_n_bytes(spec, dtype) for spec in specs), initial=0))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for spec, start, end in zip(specs, offsets, offsets[1:], strict=False):
        header[spec.name] = {"dtype": dtype.upper(), "shape": list(spec.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for spec in specs:
            for chunk in float_chunks(spec, seed):
                stream.write(_encoded(chunk, dtype).tobytes())


def _encoded(values: NDArray[np.float32], dtype: Dtype) -> NDArray[Any]:
    if dtype != "bf16":
        return values.astype("<f4" if dtype == "f32" else "<f2")
    bits = values.view(np.uint32)
    # Round to nearest, ties to even, as torch does.
    return ((bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))) >> 16).astype("<u2")


def _n_bytes(spec: TensorSpec, dtype: Dtype) -> int:
    return spec.n_elements * _ITEM_BYTES[dtype]


def _index(names: Sequence[str], shards: Sequence[Sequence[TensorSpec]], dtype: Dtype) -> dict[str, Any]:
    total = sum(_n_bytes(spec, dtype) for shard in shards for spec in shard)
    placed = {spec.name: name for name, shard in zip(names, shards, strict=True) for spec in shard}
    return {"metadata": {"total_size": total}, "weight_map": placed}


def _config(shape: Shape, dtype: Dtype) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.ffn_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.rms_eps,
        "rope_theta": shape.rope_theta,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dtype": _NAMES[dtype],
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")

"""GGUF files: architecture `llama` for one width, `deci` for a width per layer, tensor by tensor.

Nothing of the machine or the time goes into a file, so the same weights always give the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import numpy.typing as npt
import torch

from compressor.checkpoint import TensorSource
from compressor.errors import CheckpointError
from compressor.families.contract import Family, ModelShape
from compressor.gguf_vocabulary import Vocabulary, write_vocabulary
from compressor.storage import write_atomic

FileType = Literal["f32", "f16", "bf16"]
_FILE_TYPES = {
    "f32": (gguf.LlamaFileType.ALL_F32, gguf.GGMLQuantizationType.F32),
    "f16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
    "bf16": (gguf.LlamaFileType.MOSTLY_BF16, gguf.GGMLQuantizationType.BF16),
}
F16_LIMIT = 65504.0


@dataclass(frozen=True)
class GgufModel:
    """All that goes into a file besides its type."""

    name: str
    source: TensorSource
    family: Family
    shape: ModelShape
    widths: tuple[int, ...]
    rope_factors: torch.Tensor | None
    vocabulary: Vocabulary


@dataclass(frozen=True)
class _Entry:
    """One tensor of the file: its name there, its shape, and how to read it as float32."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], torch.Tensor]


def export_gguf(model: GgufModel, path: Path, file_type: FileType = "f16") -> None:
    """Write the file whole or not at all. Raises StorageError, CheckpointError for values beyond float16."""
    write_atomic(path, lambda partial: _write(model, partial, file_type))


def header_bytes(model: GgufModel, path: Path) -> int:
    """Size of the file's header with all metadata and tensor descriptions; `path` is written and removed."""
    writer = _writer(model, path, "f16")
    for entry in _entries(model):
        _describe(writer, entry, gguf.GGMLQuantizationType.F16)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    size = path.stat().st_size
    path.unlink()
    return size


def _write(model: GgufModel, path: Path, file_type: FileType) -> None:
    writer = _writer(model, path, file_type)
    entries = _entries(model)
    wanted = _FILE_TYPES[file_type][1]
    for entry in entries:
        _describe(writer, entry, wanted)
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for entry in entries:
            writer.write_tensor_data(_encode(entry, _stored_type(entry, wanted)))
    finally:
        writer.close()


def _writer(model: GgufModel, path: Path, file_type: FileType) -> gguf.GGUFWriter:
    shape, widths = model.shape, model.widths
    equal = len(set(widths)) == 1
    writer = gguf.GGUFWriter(path, "llama" if equal else "deci")
    writer.add_type("model")
    writer.add_name(model.name)
    writer.add_file_type(int(_FILE_TYPES[file_type][0]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(shape.vocab)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    # deci reads one value per layer; llama allocates every layer with the first one.
    writer.add_feed_forward_length(widths[0] if equal else list(widths))
    writer.add_head_count(shape.heads if equal else [shape.heads] * shape.layers)
    writer.add_head_count_kv(shape.kv_heads if equal else [shape.kv_heads] * shape.layers)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    write_vocabulary(writer, model.vocabulary)
    return writer


def _entries(model: GgufModel) -> list[_Entry]:
    family, shape, source = model.family, model.shape, model.source

    def plain(gguf_name: str, name: str) -> _Entry:
        return _Entry(gguf_name, source.shape(name), lambda: source.tensor(name).float())

    def rotary(gguf_name: str, name: str, heads: int) -> _Entry:
        return _Entry(gguf_name, source.shape(name), lambda: permute_rotary(source.tensor(name).float(), heads))

    entries = [plain("token_embd.weight", family.embedding), plain("output_norm.weight", family.final_norm)]
    if not shape.tied:
        entries.append(plain("output.weight", family.head))
    if model.rope_factors is not None:
        factors = model.rope_factors
        entries.append(_Entry("rope_freqs.weight", tuple(factors.shape), lambda: factors))
    for layer in range(shape.layers):
        names, block = family.layer_names(layer), f"blk.{layer}"
        entries += [
            plain(f"{block}.attn_norm.weight", names.attention_norm),
            rotary(f"{block}.attn_q.weight", names.q, shape.heads),
            rotary(f"{block}.attn_k.weight", names.k, shape.kv_heads),
            plain(f"{block}.attn_v.weight", names.v),
            plain(f"{block}.attn_output.weight", names.o),
            plain(f"{block}.ffn_norm.weight", names.ffn_norm),
            plain(f"{block}.ffn_gate.weight", names.gate),
            plain(f"{block}.ffn_up.weight", names.up),
            plain(f"{block}.ffn_down.weight", names.down),
        ]
    return entries


def permute_rotary(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of Q or K, (heads · head_dim, hidden), from pairs (i, i + head_dim / 2) to llama.cpp's neighbours."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def _stored_type(entry: _Entry, wanted: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    # llama.cpp multiplies by vectors (norms, rope factors) in float32 only.
    return gguf.GGMLQuantizationType.F32 if len(entry.shape) == 1 else wanted


def _describe(writer: gguf.GGUFWriter, entry: _Entry, wanted: gguf.GGMLQuantizationType) -> None:
    kind = _stored_type(entry, wanted)
    each = 4 if kind == gguf.GGMLQuantizationType.F32 else 2
    numpy_type: Any = np.dtype(np.float32 if each == 4 else np.float16)
    raw = kind if kind == gguf.GGMLQuantizationType.BF16 else None
    size = int(np.prod(entry.shape, dtype=np.int64)) * each
    writer.add_tensor_info(entry.name, entry.shape, numpy_type, size, raw_dtype=raw)


def _encode(entry: _Entry, kind: gguf.GGMLQuantizationType) -> npt.NDArray[Any]:
    tensor = entry.read().contiguous()
    if kind == gguf.GGMLQuantizationType.BF16:
        return tensor.to(torch.bfloat16).view(torch.int16).numpy()
    if kind == gguf.GGMLQuantizationType.F16:
        if float(tensor.abs().max()) > F16_LIMIT:
            raise CheckpointError(
                f"{entry.name} holds values beyond float16's {F16_LIMIT:.0f}; this model cannot be exported"
            )
        return tensor.to(torch.float16).numpy()
    return tensor.numpy()


def quantized_bytes(header: int, model: GgufModel, bytes_of: Callable[[str, Sequence[int]], int]) -> int:
    """File size with each tensor stored in `bytes_of(name, shape)` bytes and padded to GGUF's alignment."""
    align = gguf.GGUF_DEFAULT_ALIGNMENT
    sizes = [header, *(bytes_of(entry.name, entry.shape) for entry in _entries(model))]
    return sum(-(-size // align) * align for size in sizes)

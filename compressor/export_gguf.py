"""GGUF files of every family, tensor by tensor, in the llama.cpp architecture that the family names for the widths.

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
from compressor.errors import CheckpointError, FamilyError
from compressor.families.contract import Family, GgufLayout, LayerNames, ModelShape
from compressor.gguf_vocabulary import Vocabulary, write_vocabulary
from compressor.storage import write_atomic

FileType = Literal["f32", "f16", "bf16"]
_FILE_TYPES = {
    "f32": (gguf.LlamaFileType.ALL_F32, gguf.GGMLQuantizationType.F32),
    "f16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
    "bf16": (gguf.LlamaFileType.MOSTLY_BF16, gguf.GGMLQuantizationType.BF16),
}
F16_LIMIT = 65504.0
ENCODED_ELEMENTS = 1 << 24
"""Values widened or narrowed at once."""


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

    @property
    def equal_widths(self) -> bool:
        """Whether all layers have one width."""
        return len(set(self.widths)) == 1

    @property
    def layout(self) -> GgufLayout:
        """How llama.cpp wants the tensors. Raises FamilyError where no architecture takes these widths."""
        return self.family.gguf_layout(equal_widths=self.equal_widths)


@dataclass(frozen=True)
class _Entry:
    """One tensor of the file: its name there, its shape, and how to read it in any floating type."""

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
    shape, widths, equal = model.shape, model.widths, model.equal_widths
    writer = gguf.GGUFWriter(path, model.layout.architecture)
    writer.add_type("model")
    writer.add_name(model.name)
    writer.add_file_type(int(_FILE_TYPES[file_type][0]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(shape.vocab)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    # Only deci and openelm read one value per layer; the others allocate every layer with the first one.
    writer.add_feed_forward_length(widths[0] if equal else list(widths))
    writer.add_head_count(shape.heads if equal else [shape.heads] * shape.layers)
    writer.add_head_count_kv(shape.kv_heads if equal else [shape.kv_heads] * shape.layers)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    _add_traits(writer, shape)
    write_vocabulary(writer, model.vocabulary)
    return writer


def _add_traits(writer: gguf.GGUFWriter, shape: ModelShape) -> None:
    """Keys that only some families have."""
    if None in shape.windows:
        # A window in every layer (Mistral) is the context instead: `llama` has none.
        writer.add_sliding_window(next(window for window in shape.windows if window is not None))
    if shape.rope_theta_local is not None:
        writer.add_rope_freq_base_swa(shape.rope_theta_local)
    if shape.rope_linear != 1.0:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.rope_linear)
    if shape.attention_cap is not None:
        writer.add_attn_logit_softcapping(shape.attention_cap)
    if shape.final_cap is not None:
        writer.add_final_logit_softcapping(shape.final_cap)


def _entries(model: GgufModel) -> list[_Entry]:
    family, shape = model.family, model.shape
    entries = [
        _plain(model, "token_embd.weight", family.embedding),
        _norm(model, "output_norm.weight", family.final_norm),
    ]
    if not shape.tied:
        entries.append(_plain(model, "output.weight", family.head))
    if model.rope_factors is not None:
        factors = model.rope_factors
        entries.append(_Entry("rope_freqs.weight", tuple(factors.shape), lambda: factors))
    stored = frozenset(model.source.names())
    for layer in range(shape.layers):
        names, block = family.layer_names(layer), f"blk.{layer}"
        entries += _attention(model, names, block)
        entries += [
            _norm(model, f"{block}.ffn_norm.weight", names.ffn_norm),
            _plain(model, f"{block}.ffn_gate.weight", names.gate),
            _plain(model, f"{block}.ffn_up.weight", names.up),
            _plain(model, f"{block}.ffn_down.weight", names.down),
        ]
        if names.ffn_post_norm is not None:
            entries.append(_norm(model, f"{block}.post_ffw_norm.weight", names.ffn_post_norm))
        if names.down_bias in stored:
            if not family.carries_down_bias:
                raise FamilyError(
                    f"{names.down_bias} has no place in a {model.layout.architecture} file; leave biases out"
                )
            entries.append(_plain(model, f"{block}.ffn_down.bias", names.down_bias))
    return entries


def _attention(model: GgufModel, names: LayerNames, block: str) -> list[_Entry]:
    """Norms, matrices and biases of one layer's attention."""
    shape = model.shape
    entries = [_norm(model, f"{block}.attn_norm.weight", names.attention_norm)]
    if model.layout.fused_attention:
        entries.append(_fused(model, f"{block}.attn_qkv.weight", (names.q, names.k, names.v)))
    else:
        entries += [
            _rotary(model, f"{block}.attn_q.weight", names.q, shape.heads),
            _rotary(model, f"{block}.attn_k.weight", names.k, shape.kv_heads),
            _plain(model, f"{block}.attn_v.weight", names.v),
        ]
    entries.append(_plain(model, f"{block}.attn_output.weight", names.o))
    if names.q_bias is not None and names.k_bias is not None and names.v_bias is not None:
        entries += [
            _rotary(model, f"{block}.attn_q.bias", names.q_bias, shape.heads),
            _rotary(model, f"{block}.attn_k.bias", names.k_bias, shape.kv_heads),
            _plain(model, f"{block}.attn_v.bias", names.v_bias),
        ]
    optional = {
        "attn_q_norm": names.q_norm,
        "attn_k_norm": names.k_norm,
        "post_attention_norm": names.attention_post_norm,
    }
    return entries + [_norm(model, f"{block}.{part}.weight", name) for part, name in optional.items() if name]


def _plain(model: GgufModel, gguf_name: str, name: str) -> _Entry:
    return _Entry(gguf_name, model.source.shape(name), lambda: model.source.tensor(name))


def _norm(model: GgufModel, gguf_name: str, name: str) -> _Entry:
    # llama.cpp multiplies by the weight: Gemma's 1 is added here.
    offset = model.shape.norm_offset
    return _Entry(gguf_name, model.source.shape(name), lambda: offset + model.source.tensor(name).float())


def _rotary(model: GgufModel, gguf_name: str, name: str, heads: int) -> _Entry:
    if not model.layout.adjacent_rotary:
        return _plain(model, gguf_name, name)
    return _Entry(gguf_name, model.source.shape(name), lambda: permute_rotary(model.source.tensor(name), heads))


def _fused(model: GgufModel, gguf_name: str, names: Sequence[str]) -> _Entry:
    shapes = [model.source.shape(name) for name in names]
    rows = sum(shape[0] for shape in shapes)
    return _Entry(gguf_name, (rows, shapes[0][1]), lambda: torch.cat([model.source.tensor(name) for name in names]))


def permute_rotary(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of Q or K, (heads · head_dim, …), from pairs (i, i + head_dim / 2) to llama.cpp's neighbours."""
    rows = weight.shape[0]
    halves = weight.view(heads, 2, rows // heads // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


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
    """The tensor in its type in the file, a part at a time: float32 copies of a whole embedding would be gigabytes."""
    target = {
        gguf.GGMLQuantizationType.BF16: torch.bfloat16,
        gguf.GGMLQuantizationType.F16: torch.float16,
        gguf.GGMLQuantizationType.F32: torch.float32,
    }[kind]
    tensor = entry.read().contiguous().flatten()
    encoded = torch.empty(tensor.shape, dtype=target)
    for part, place in zip(torch.split(tensor, ENCODED_ELEMENTS), torch.split(encoded, ENCODED_ELEMENTS), strict=True):
        if target is torch.float16 and float(part.abs().max()) > F16_LIMIT:
            raise CheckpointError(
                f"{entry.name} holds values beyond float16's {F16_LIMIT:.0f}; this model cannot be exported"
            )
        place.copy_(part)
    shaped = encoded.view(entry.shape)
    return (shaped.view(torch.int16) if target is torch.bfloat16 else shaped).numpy()


def quantized_bytes(header: int, model: GgufModel, bytes_of: Callable[[str, Sequence[int]], int]) -> int:
    """File size with each tensor stored in `bytes_of(name, shape)` bytes and padded to GGUF's alignment."""
    align = gguf.GGUF_DEFAULT_ALIGNMENT
    sizes = [header, *(bytes_of(entry.name, entry.shape) for entry in _entries(model))]
    return sum(-(-size // align) * align for size in sizes)

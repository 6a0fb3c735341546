"""Random-weight GGUF files that llama.cpp loads and generates from: F32, F16 or Q4_0, streamed, any shape."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.disk import replacing
from models.errors import ModelFileError
from models.pooling import Pooling, pooling_number
from models.synthetic.shapes import Shape
from models.synthetic.vocabulary import VocabularyKind, make_vocabulary
from models.synthetic.weights import TensorSpec, checked_widths, float_chunks, random_generator, tensor_specs

FileType = Literal["f32", "f16", "q4_0"]
NAME = "synthetic"
"""What every such file is called inside: its answers mean nothing."""

_FILE_TYPE_NUMBERS = {"f32": 0, "f16": 1, "q4_0": 2}
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_Q4_0_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_Q6_K_BLOCK = np.dtype([("low", "u1", 128), ("high", "u1", 64), ("scales", "i1", 16), ("scale", "<f2")])
_Q4_0_SPREAD = 4.63  # root mean square of a uniform nibble minus 8
_Q6_K_SUBSCALE = 4
_Q6_K_SPREAD = 18.5 * _Q6_K_SUBSCALE


def write_gguf(
    path: Path,
    shape: Shape,
    file_type: FileType = "f32",
    seed: int = 0,
    *,
    ffn_widths: Sequence[int] | None = None,
    vocabulary: VocabularyKind = "bpe",
    pooling: Pooling | None = None,
) -> Path:
    """Write a random model to `path` and return it.

    `ffn_widths` gives each layer its own FFN width (architecture `deci`, otherwise `llama`). `pooling` makes it an
    embedding model, without a chat template. F32 and F16 hold the very weights of `write_checkpoint` with the same
    shape and seed; Q4_0 holds random blocks of the same spread, with the embedding and output in Q6_K where the hidden
    size allows, as llama.cpp's quantizer does.
    Raises ModelFileError for sizes that the type cannot hold, StorageError where `path` cannot be written.
    """
    import gguf

    specs = tensor_specs(shape, ffn_widths)
    plans = [(spec, _tensor_type(spec, file_type)) for spec in specs]
    with replacing(path) as temporary:
        writer = gguf.GGUFWriter(temporary, "llama" if ffn_widths is None else "deci")
        _add_metadata(writer, shape, file_type, ffn_widths, pooling)
        _add_vocabulary(writer, shape, vocabulary, with_template=pooling is None)
        for spec, type_name in plans:
            kind = gguf.GGMLQuantizationType[type_name]
            writer.add_tensor_info(
                _gguf_name(spec.name), spec.shape, np.dtype(np.float32), _n_bytes(spec, type_name), raw_dtype=kind
            )
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
        finally:
            writer.close()
        _append_tensors(temporary, plans, shape, seed, writer.data_alignment)
    return path


def tensor_bytes(shape: Shape, file_type: FileType) -> int:
    """Bytes of all tensors of a file of this type; its header comes to that."""
    return sum(_n_bytes(spec, _tensor_type(spec, file_type)) for spec in tensor_specs(shape))


def _add_metadata(
    writer: Any, shape: Shape, file_type: FileType, ffn_widths: Sequence[int] | None, pooling: Pooling | None
) -> None:
    writer.add_name(NAME)
    writer.add_file_type(_FILE_TYPE_NUMBERS[file_type])
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_feed_forward_length(shape.ffn_size if ffn_widths is None else checked_widths(shape, ffn_widths))
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.rms_eps)
    writer.add_vocab_size(shape.vocab_size)
    if pooling is not None:
        writer.add_uint32(f"{writer.arch}.pooling_type", pooling_number(pooling))


def _add_vocabulary(writer: Any, shape: Shape, kind: VocabularyKind, *, with_template: bool) -> None:
    vocabulary = make_vocabulary(shape.vocab_size, kind)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre("qwen2" if kind == "bpe" else "default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_add_bos_token(True)
    if with_template:
        writer.add_chat_template(vocabulary.template)


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return f"{_NAMES[stem]}.weight"
    layer, part = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{_NAMES[part]}.weight"


def _tensor_type(spec: TensorSpec, file_type: FileType) -> str:
    if len(spec.shape) == 1 or file_type == "f32":
        return "F32"
    if file_type == "f16":
        return "F16"
    columns = spec.shape[-1]
    if spec.name.startswith(("model.embed_tokens", "lm_head")) and columns % 256 == 0:
        return "Q6_K"
    if columns % 32:
        raise ModelFileError(f"{spec.name} has {columns} columns, not a multiple of 32; Q4_0 needs one")
    return "Q4_0"


def _n_bytes(spec: TensorSpec, type_name: str) -> int:
    per_block = {"F32": (1, 4), "F16": (1, 2), "Q4_0": (32, _Q4_0_BLOCK.itemsize), "Q6_K": (256, _Q6_K_BLOCK.itemsize)}
    elements, n_bytes = per_block[type_name]
    return spec.n_elements // elements * n_bytes


def _append_tensors(
    path: Path, plans: Sequence[tuple[TensorSpec, str]], shape: Shape, seed: int, alignment: int
) -> None:
    with path.open("ab") as stream:
        for spec, type_name in plans:
            stream.write(b"\0" * (-stream.tell() % alignment))
            for chunk in _chunks(spec, type_name, shape, seed):
                stream.write(chunk.tobytes())
        stream.write(b"\0" * (-stream.tell() % alignment))


def _chunks(spec: TensorSpec, type_name: str, shape: Shape, seed: int) -> Iterator[NDArray[Any]]:
    if type_name in ("Q4_0", "Q6_K"):
        yield from _random_blocks(spec, type_name, seed)
    elif spec.name.endswith(("q_proj.weight", "k_proj.weight")):
        whole = np.concatenate(list(float_chunks(spec, seed)))
        yield _interleaved_rotary(whole, shape.head_dim).astype("<f4" if type_name == "F32" else "<f2")
    else:
        for chunk in float_chunks(spec, seed):
            yield chunk.astype("<f2" if type_name == "F16" else "<f4")


def _interleaved_rotary(weight: NDArray[np.float32], head_dim: int) -> NDArray[np.float32]:
    """Rows (heads * head_dim, columns) from Hugging Face's order, half and half of a head, to ggml's pairs."""
    rows, columns = weight.shape
    halves = weight.reshape(rows // head_dim, 2, head_dim // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, columns)


def _random_blocks(spec: TensorSpec, type_name: str, seed: int) -> Iterator[NDArray[Any]]:
    generator = random_generator(spec, seed)
    rows, columns = spec.shape
    spread = columns**-0.5
    for start in range(0, rows, spec.rows_per_chunk):
        elements = min(spec.rows_per_chunk, rows - start) * columns
        block = _Q4_0_BLOCK if type_name == "Q4_0" else _Q6_K_BLOCK
        count = elements // (32 if type_name == "Q4_0" else 256)
        blocks = np.frombuffer(bytearray(generator.bytes(count * block.itemsize)), dtype=block)
        if type_name == "Q4_0":
            blocks["scale"] = spread / _Q4_0_SPREAD
        else:
            blocks["scale"] = spread / _Q6_K_SPREAD
            blocks["scales"] = _Q6_K_SUBSCALE
        yield blocks

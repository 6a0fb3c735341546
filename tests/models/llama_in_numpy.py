"""A Llama forward pass in plain numpy, in Hugging Face's weight layout: the outside truth for synthetic files."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.synthetic.shapes import Shape
from models.synthetic.weights import float_chunks, tensor_specs

Array = NDArray[np.float64]


def weights_of(shape: Shape, seed: int = 0, ffn_widths: Sequence[int] | None = None) -> dict[str, Array]:
    return {
        spec.name: np.concatenate(list(float_chunks(spec, seed))).astype(np.float64)
        for spec in tensor_specs(shape, ffn_widths)
    }


def llama_logits(shape: Shape, weights: Mapping[str, Array], tokens: Sequence[int]) -> Array:
    """Logits (tokens, vocab) in float64."""
    head = "model.embed_tokens.weight" if shape.tied else "lm_head.weight"
    return np.asarray(llama_hidden(shape, weights, tokens) @ weights[head].T)


def llama_hidden(shape: Shape, weights: Mapping[str, Array], tokens: Sequence[int]) -> Array:
    """The last hidden states (tokens, hidden) in float64, after the last norm."""
    hidden = weights["model.embed_tokens.weight"][list(tokens)]
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        normed = _rms_norm(hidden, weights[prefix + "input_layernorm.weight"], shape.rms_eps)
        hidden = hidden + _attention(shape, weights, prefix + "self_attn.", normed)
        normed = _rms_norm(hidden, weights[prefix + "post_attention_layernorm.weight"], shape.rms_eps)
        gate = normed @ weights[prefix + "mlp.gate_proj.weight"].T
        up = normed @ weights[prefix + "mlp.up_proj.weight"].T
        hidden = hidden + (gate / (1 + np.exp(-gate)) * up) @ weights[prefix + "mlp.down_proj.weight"].T
    return _rms_norm(hidden, weights["model.norm.weight"], shape.rms_eps)


def _rms_norm(values: Array, weight: Array, eps: float) -> Array:
    return np.asarray(values / np.sqrt(np.mean(values**2, axis=-1, keepdims=True) + eps) * weight)


def _attention(shape: Shape, weights: Mapping[str, Array], prefix: str, normed: Array) -> Array:
    count = len(normed)
    queries = _rotate(shape, (normed @ weights[prefix + "q_proj.weight"].T).reshape(count, shape.heads, -1))
    keys = _rotate(shape, (normed @ weights[prefix + "k_proj.weight"].T).reshape(count, shape.kv_heads, -1))
    values = (normed @ weights[prefix + "v_proj.weight"].T).reshape(count, shape.kv_heads, -1)
    group = shape.heads // shape.kv_heads
    scores = np.einsum("qhd,khd->hqk", queries, np.repeat(keys, group, axis=1)) / np.sqrt(shape.head_dim)
    scores[:, np.triu(np.ones((count, count), dtype=bool), 1)] = -np.inf
    probabilities = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    mixed = np.einsum("hqk,khd->qhd", probabilities, np.repeat(values, group, axis=1)).reshape(count, -1)
    return np.asarray(mixed @ weights[prefix + "o_proj.weight"].T)


def _rotate(shape: Shape, heads: Array) -> Array:
    half = shape.head_dim // 2
    frequencies = shape.rope_theta ** (-np.arange(half) / half)
    angles = np.arange(len(heads))[:, None] * frequencies
    cosines, sines = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    first, second = heads[..., :half], heads[..., half:]
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)

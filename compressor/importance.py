"""The importance matrix: mean squared input of every linear layer, by one pass over the model that is quantized."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from compressor.export_hf import ffn_widths
from compressor.layers import (
    LayerWeights,
    ModelView,
    add_attention,
    add_ffn,
    attention_input,
    embed,
    ffn_inner,
    ffn_input,
    ffn_output,
    mix_heads,
)
from compressor.rows import Batch, count_tokens
from compressor.walk import Advance, layers_from

Importance = dict[str, npt.NDArray[np.float32]]
_SEPARATE = (("attn_k", "attn_q"), ("attn_v", "attn_q"), ("ffn_up", "ffn_gate"))
_FUSED = (("ffn_up", "ffn_gate"),)
"""Matrices that read the same input as another."""


def importance(model: ModelView, batches: Sequence[Batch], advance: Advance = lambda: None) -> Importance:
    """GGUF tensor name to the mean square of each input column, float32 (columns,). The head is left to llama.cpp."""
    widths = ffn_widths(model.source, model.family, model.shape)
    fused = model.family.gguf_layout(equal_widths=len(set(widths)) == 1).fused_attention
    hidden = embed(model, batches)
    tokens = count_tokens(batches)
    found: Importance = {}
    for layer, weights in layers_from(model, 0):
        sums: dict[str, torch.Tensor] = {}
        for index, batch in enumerate(batches):
            hidden[index] = model.fitting.run(partial(_through_layer, model, weights, sums), hidden[index], batch)
        for name, same in _FUSED if fused else _SEPARATE:
            sums[name] = sums[same]
        if fused:
            sums["attn_qkv"] = sums.pop("attn_q")
        for name, total in sums.items():
            found[f"blk.{layer}.{name}.weight"] = (total / tokens).float().cpu().numpy()
        advance()
    return found


def _through_layer(
    model: ModelView, weights: LayerWeights, sums: dict[str, torch.Tensor], hidden: torch.Tensor, batch: Batch
) -> torch.Tensor:
    """One batch through one layer; inputs at text positions are squared and added to `sums` once the whole has passed."""
    normed = attention_input(model, weights, hidden)
    mixed = mix_heads(model, weights, normed)
    attended = add_attention(model, weights, hidden, mixed)
    x = ffn_input(model, weights, attended, batch.valid)
    h = ffn_inner(model, weights, x)
    inputs = {"attn_q": normed[batch.valid], "attn_output": mixed[batch.valid], "ffn_gate": x, "ffn_down": h}
    squares = {name: rows.square().sum(0, dtype=torch.float64) for name, rows in inputs.items()}
    result = add_ffn(model, weights, attended, batch.valid, ffn_output(weights, h))
    for name, found in squares.items():
        sums[name] = sums[name].add_(found) if name in sums else found
    return result

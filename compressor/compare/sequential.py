"""Wanda-sp as its code does it (arXiv 2306.11695, `prune_wanda_sp` in FLAP's repository): layer by layer, on pruned inputs.

A layer is scored on what the already pruned layers before it give, pruned, and its pruned output goes on to the next. One
layer and the residual stream are in memory.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from compressor.criteria.wanda import wanda_scores
from compressor.layers import ModelView, add_ffn, attend_fitting, embed, ffn_output, inner_fitting, load_layer
from compressor.masks.choose import keep_highest
from compressor.rows import Batch
from compressor.walk import Advance


def keep_sequentially(
    dense: ModelView, batches: Sequence[Batch], width: int, advance: Advance = lambda: None
) -> list[torch.Tensor]:
    """The `width` neurons of each layer that stay, int64, sorted; `advance` is called once a layer."""
    hidden, kept = embed(dense, batches), []
    for index in range(dense.shape.layers):
        weights = load_layer(dense, index)
        attended = [
            attend_fitting(dense, weights, states, batch) for states, batch in zip(hidden, batches, strict=True)
        ]
        squares = torch.zeros(weights.gate.shape[0], dtype=torch.float64, device=dense.device)
        for states, batch in zip(attended, batches, strict=True):
            inner = inner_fitting(dense, weights, states, batch)
            squares += inner.square().sum(0, dtype=torch.float64)
        (stay,) = keep_highest([wanda_scores(squares, weights.down)], [width])
        weights = replace(weights, gate=weights.gate[stay], up=weights.up[stay], down=weights.down[:, stay])
        for place, (states, batch) in enumerate(zip(attended, batches, strict=True)):
            output = ffn_output(weights, inner_fitting(dense, weights, states, batch))
            hidden[place] = add_ffn(dense, weights, states, batch.valid, output)
        kept.append(stay.cpu())
        advance()
    return kept

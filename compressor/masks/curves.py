"""Error against width, one curve per layer: what the output loses where this layer alone is cut.

For each layer and a few widths, the highest-scored neurons of the layer stay, `down` is refitted to the layer's own
unpruned output where that helps on the tuning rows (never where the recipe does not reconstruct), the tuning rows go
through the rest of the dense model, and the KL of the final logits to the dense model's is the point of the curve. One
Gram matrix of the layer on dense inputs serves every width. Cost: layers · widths · (layers + 1) / 2 passes of the tuning
rows through one layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from compressor.assemble import require_memory
from compressor.layers import (
    LayerWeights,
    ModelView,
    add_ffn,
    attend_fitting,
    embed,
    ffn_output,
    inner_fitting,
    load_layer,
    pass_layer,
)
from compressor.masks.choose import keep_highest
from compressor.masks.divergence import Divergence
from compressor.reconstruct.memory import inner_bytes, solving_bytes, stream_bytes
from compressor.reconstruct.normal import Held, Normal
from compressor.reconstruct.solve import choose_weight
from compressor.rows import Batch, count_tokens
from compressor.walk import Advance, StreamCheckpoint, pack_states, unpack_states

GRID = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Widths of a curve as shares of the layer's."""
REMEDY = "use mask.method = global or uniform, or a machine with more memory"
RIDGE_SHARE = 0.01
"""λ of the refit as a share of the mean diagonal of H: the middle of what reconstruction tries."""


def grid_widths(ffn: int, multiple: int) -> list[int]:
    """The widths of a curve, ascending: multiples of `multiple`, each once, none of the whole layer."""
    return sorted({max(1, round(share * ffn / multiple)) * multiple for share in GRID} - {ffn})


@dataclass(frozen=True)
class CurveInputs:
    """What the curves are measured with."""

    dense: ModelView
    scores: Sequence[torch.Tensor]
    """Per layer (ffn,), high = stays."""
    fitting: Sequence[Batch]
    """Rows that the refit sees."""
    tuning: Sequence[Batch]
    """Rows that the KL is measured on."""
    refit: bool


def measure_curves(
    inputs: CurveInputs, widths: Sequence[int], state: StreamCheckpoint, advance: Advance = lambda: None
) -> torch.Tensor:
    """KL in nats per position, float64 (layers, len(widths)); an interrupted walk continues from `state`.

    `advance` is called once a layer. Raises MemoryShortError with the numbers before any work is done.
    """
    model, batches = inputs.dense, [*inputs.fitting, *inputs.tuning]
    require_memory(curve_bytes(inputs, widths), "mask.method = search", REMEDY, model.device)
    divergence = Divergence(model, inputs.tuning)
    first, saved = state.load()
    hidden = [states.to(model.device) for states in unpack_states("hidden", saved)] if first else embed(model, batches)
    curves = unpack_states("curve", saved)
    for layer in range(model.shape.layers):
        if layer >= first:
            cut = _cut_layer(inputs, layer, widths, hidden)
            curves.append(_through_the_rest(inputs, layer, cut, divergence))
            done = layer + 1
            state.save_if_due(done, lambda: {**pack_states("hidden", hidden), **pack_states("curve", curves)})
        advance()
    return torch.stack(curves)


def curve_bytes(inputs: CurveInputs, widths: Sequence[int]) -> int:
    """What measuring holds at its peak: the whole layer's second moment, and of the widest cut its part and a copy.

    Beside these the weights of a layer, the stream of all rows, and of the tuning rows h and a stream for every width.
    """
    shape, cut = inputs.dense.shape, max(widths) if inputs.refit else 0
    whole = shape.ffn if inputs.refit else 0
    solved = 8 * whole * (whole + 2 * shape.hidden) + solving_bytes(cut, shape.hidden)
    attention = 2 * (shape.heads + shape.kv_heads) * shape.head_dim
    weights = 4 * shape.hidden * (attention + 3 * shape.ffn)
    tuning = 4 * shape.ffn * count_tokens(inputs.tuning) + (2 + len(widths)) * stream_bytes(shape.hidden, inputs.tuning)
    batches = [*inputs.fitting, *inputs.tuning]
    return solved + weights + tuning + stream_bytes(shape.hidden, batches) + inner_bytes(shape.ffn, batches)


def _cut_layer(
    inputs: CurveInputs, layer: int, widths: Sequence[int], hidden: list[torch.Tensor]
) -> list[list[torch.Tensor]]:
    """The tuning rows after the layer for each width; `hidden` moves on to after the whole layer."""
    model, split = inputs.dense, len(inputs.fitting)
    weights = load_layer(model, layer)
    gram = torch.zeros((model.shape.ffn if inputs.refit else 0,) * 2, dtype=torch.float64, device=model.device)
    attended, inner = [], []
    for index, batch in enumerate([*inputs.fitting, *inputs.tuning]):
        stream = attend_fitting(model, weights, hidden[index], batch)
        h = inner_fitting(model, weights, stream, batch)
        hidden[index] = add_ffn(model, weights, stream, batch.valid, ffn_output(weights, h))
        if index >= split:
            attended.append(stream)
            inner.append(h)
        elif inputs.refit:
            gram.add_(h.T @ h)
    # What the whole layer gives against every neuron, once for all widths.
    cross = weights.down.double() @ gram if inputs.refit else gram
    states = []
    for width in widths:
        kept = keep_highest([inputs.scores[layer]], [width])[0].to(model.device)
        down = _refit(weights, kept, gram, cross, inner) if inputs.refit else weights.down[:, kept]
        narrow = replace(weights, down=down)
        rows = zip(attended, inputs.tuning, inner, strict=True)
        states.append(
            [add_ffn(model, weights, stream, batch.valid, ffn_output(narrow, h[:, kept])) for stream, batch, h in rows]
        )
    return states


def _refit(
    weights: LayerWeights,
    kept: torch.Tensor,
    gram: torch.Tensor,
    cross: torch.Tensor,
    tuning: Sequence[torch.Tensor],
) -> torch.Tensor:
    """`down` over the kept neurons, float32 (hidden, kept), refitted to the layer's own output where tuning rows gain."""
    # One step, as rows first would be a copy of most of H.
    normal = Normal(gram[kept[:, None], kept], cross[:, kept], biased=False)
    held = Held(biased=False)
    for h in tuning:
        held.add(h[:, kept], h @ weights.down.T)
    return choose_weight(normal, held, weights.down[:, kept].double(), (RIDGE_SHARE,))[0].float()


def _through_the_rest(
    inputs: CurveInputs, layer: int, cut: list[list[torch.Tensor]], divergence: Divergence
) -> torch.Tensor:
    for later in range(layer + 1, inputs.dense.shape.layers):
        weights = load_layer(inputs.dense, later)
        for states in cut:
            for index, batch in enumerate(inputs.tuning):
                states[index] = pass_layer(inputs.dense, weights, states[index], batch)
    return torch.tensor([divergence.of(states) for states in cut], dtype=torch.float64)

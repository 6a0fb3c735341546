"""The layer stream: hidden states of every row and one layer's weights at a time, so memory does not grow with depth.

Calibration, reconstruction and the tuning loss all walk the model this way, each through the same five steps of a layer:
`attend`, `ffn_input`, `ffn_inner` (h, the input of down), `ffn_output`, `add_ffn`. Compute is float32.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch.nn import functional

from compressor.checkpoint import TensorSource
from compressor.device_memory import FittingBatches
from compressor.families.contract import Family, ModelShape
from compressor.rows import Batch

CPU = torch.device("cpu")
OPTIONAL = frozenset({"down_bias"})
"""Fields of a layer that a checkpoint of any family may lack."""
NORMS = frozenset({"attention_norm", "ffn_norm", "q_norm", "k_norm", "attention_post_norm", "ffn_post_norm"})
HEAD_ROWS = 8192
"""Rows of the output matrix in float32 at once: a whole one of 128,256 × 4,096 would be 2.1 GB."""
HEAD_POSITIONS = 256
"""Positions whose logits against those rows are held at once, 16 MiB in float64. From 32 MiB on glibc takes every block
from the kernel anew, and the zeroing of its pages took as much time again as the arithmetic."""


@dataclass(frozen=True)
class ModelView:
    """A model to stream: where its tensors are, its family and its dense shape."""

    source: TensorSource
    family: Family
    shape: ModelShape
    frequencies: torch.Tensor
    """Rotary frequencies, float32 (layers, head_dim / 2)."""
    device: torch.device = field(default=CPU)
    """Where layers and hidden states are."""
    fitting: FittingBatches = field(default_factory=FittingBatches, compare=False, repr=False)
    """Runs the steps of a walk, in fewer rows at once where the device's memory is short."""


@dataclass(frozen=True)
class LayerWeights:
    """One decoder layer in float32, matrices as (out, in), norms as the factors they multiply by."""

    index: int
    attention_norm: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    o: torch.Tensor
    ffn_norm: torch.Tensor
    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor
    down_bias: torch.Tensor | None = None
    """Float32 (hidden,): what a criterion or the reconstruction adds to down's output."""
    q_bias: torch.Tensor | None = None
    k_bias: torch.Tensor | None = None
    v_bias: torch.Tensor | None = None
    q_norm: torch.Tensor | None = None
    """Float32 (head_dim,)."""
    k_norm: torch.Tensor | None = None
    attention_post_norm: torch.Tensor | None = None
    """Norm of the attention's output before it is added to the stream."""
    ffn_post_norm: torch.Tensor | None = None
    """Norm of down's output before it is added to the stream."""


def embed(model: ModelView, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """Hidden states before the first layer, float32 (rows, tokens, hidden) per batch; only the rows asked for are read."""
    table = model.source.tensor(model.family.embedding)
    scale = model.shape.embedding_scale
    return [table[batch.ids].float().to(model.device) * scale for batch in batches]


def load_layer(model: ModelView, layer: int) -> LayerWeights:
    """Read one layer and widen it to float32."""
    stored = frozenset(model.source.names())
    found: dict[str, torch.Tensor] = {}
    for part, name in vars(model.family.layer_names(layer)).items():
        if name is not None and (part not in OPTIONAL or name in stored):
            tensor = model.source.tensor(name).to(model.device, torch.float32)
            found[part] = model.shape.norm_offset + tensor if part in NORMS else tensor
    return LayerWeights(index=layer, **found)


def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMSNorm over the last axis."""
    return weight * (hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + eps))


def attend(model: ModelView, weights: LayerWeights, hidden: torch.Tensor) -> torch.Tensor:
    """`hidden` plus its causal self-attention, (rows, tokens, hidden)."""
    return add_attention(model, weights, hidden, mix_heads(model, weights, attention_input(model, weights, hidden)))


def attention_input(model: ModelView, weights: LayerWeights, hidden: torch.Tensor) -> torch.Tensor:
    """The normalised input of query, key and value, (rows, tokens, hidden)."""
    return rms_norm(hidden, weights.attention_norm, model.shape.norm_eps)


def add_attention(model: ModelView, weights: LayerWeights, hidden: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
    """The stream with the output projection of `mixed` (what `mix_heads` gives) added."""
    output = mixed @ weights.o.T
    if weights.attention_post_norm is not None:
        output = rms_norm(output, weights.attention_post_norm, model.shape.norm_eps)
    return hidden + output


def mix_heads(model: ModelView, weights: LayerWeights, normed: torch.Tensor) -> torch.Tensor:
    """The input of the output projection, (rows, tokens, heads · head_dim), from the normalised hidden states."""
    shape = model.shape
    rows, tokens, _ = normed.shape
    angles = torch.outer(torch.arange(tokens, dtype=torch.float32), model.frequencies[weights.index])
    cos, sin = angles.cos().to(normed.device), angles.sin().to(normed.device)

    def heads(weight: torch.Tensor, bias: torch.Tensor | None, count: int) -> torch.Tensor:
        return functional.linear(normed, weight, bias).view(rows, tokens, count, shape.head_dim).transpose(1, 2)

    query = heads(weights.q, weights.q_bias, shape.heads)
    key = heads(weights.k, weights.k_bias, shape.kv_heads)
    value = heads(weights.v, weights.v_bias, shape.kv_heads)
    if weights.q_norm is not None and weights.k_norm is not None:
        query = rms_norm(query, weights.q_norm, shape.norm_eps)
        key = rms_norm(key, weights.k_norm, shape.norm_eps)
    mixed = _weigh_values(shape, weights.index, _rotate(query, cos, sin), _rotate(key, cos, sin), value)
    return mixed.transpose(1, 2).reshape(rows, tokens, shape.heads * shape.head_dim)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position of (rows, heads, tokens, head_dim); pairs are (i, i + head_dim / 2) as in Hugging Face."""
    first, second = states.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _weigh_values(
    shape: ModelShape, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """Softmax-weighted values, (rows, heads, tokens, head_dim), causal and within the layer's window."""
    tokens, window = query.shape[2], shape.window(layer)
    if shape.attention_cap is not None:
        allowed = _visible(tokens, window, query.device)
        # Row by row: the scores of a whole batch of long rows would not fit.
        rows = zip(query, key, value, strict=True)
        return torch.stack([_weigh_capped(shape, allowed, *row) for row in rows])
    mask = None if window is None or tokens <= window else _visible(tokens, window, query.device)
    return functional.scaled_dot_product_attention(
        query, key, value, mask, is_causal=mask is None, scale=shape.attention_scale, enable_gqa=True
    )


def _weigh_capped(
    shape: ModelShape, allowed: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """One row with soft-capped scores, (heads, tokens, head_dim)."""
    assert shape.attention_cap is not None
    scale = shape.head_dim**-0.5 if shape.attention_scale is None else shape.attention_scale
    group = shape.heads // shape.kv_heads
    scores = query @ key.repeat_interleave(group, 0).transpose(1, 2) * scale
    capped = torch.tanh(scores / shape.attention_cap) * shape.attention_cap
    weights = capped.masked_fill(~allowed, -torch.inf).softmax(-1)
    return weights @ value.repeat_interleave(group, 0)


def _visible(tokens: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which position (column) each position (row) sees, bool (tokens, tokens)."""
    positions = torch.arange(tokens, device=device)
    distance = positions[:, None] - positions
    return (distance >= 0) if window is None else (distance >= 0) & (distance < window)


def ffn_input(model: ModelView, weights: LayerWeights, attended: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """The normalised FFN input at the positions that hold text, (text positions, hidden)."""
    return rms_norm(attended[valid], weights.ffn_norm, model.shape.norm_eps)


def ffn_inner(model: ModelView, weights: LayerWeights, normed: torch.Tensor) -> torch.Tensor:
    """h = φ(gate x) · up x, the input of down, (text positions, ffn)."""
    return model.family.activation(normed @ weights.gate.T) * (normed @ weights.up.T)


def ffn_output(weights: LayerWeights, inner: torch.Tensor) -> torch.Tensor:
    """What down gives, its bias included, (text positions, hidden)."""
    output = inner @ weights.down.T
    return output if weights.down_bias is None else output + weights.down_bias


def add_ffn(
    model: ModelView, weights: LayerWeights, attended: torch.Tensor, valid: torch.Tensor, output: torch.Tensor
) -> torch.Tensor:
    """The residual stream after the layer: `output` of down (text positions, hidden) added where there is text.

    Where the family normalises what it adds, so does this.
    """
    if weights.ffn_post_norm is not None:
        output = rms_norm(output, weights.ffn_post_norm, model.shape.norm_eps)
    result = attended.clone()
    result[valid] += output
    return result


def through_layer(model: ModelView, weights: LayerWeights, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """One batch through one whole layer."""
    attended = attend(model, weights, hidden)
    inner = ffn_inner(model, weights, ffn_input(model, weights, attended, batch.valid))
    return add_ffn(model, weights, attended, batch.valid, ffn_output(weights, inner))


def pass_layer(model: ModelView, weights: LayerWeights, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """`through_layer` in as many rows at once as the device's memory takes. Raises MemoryShortError."""
    return model.fitting.run(partial(through_layer, model, weights), hidden, batch)


def attend_fitting(model: ModelView, weights: LayerWeights, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """`attend` in as many rows at once as the device's memory takes. Raises MemoryShortError."""
    return model.fitting.run(lambda states, _: attend(model, weights, states), hidden, batch)


def inner_fitting(model: ModelView, weights: LayerWeights, attended: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The input of down (positions, width), in as many rows at once as the device's memory takes. Raises MemoryShortError."""

    def inner(states: torch.Tensor, part: Batch) -> torch.Tensor:
        return ffn_inner(model, weights, ffn_input(model, weights, states, part.valid))

    return model.fitting.run(inner, attended, batch)


def final_logits(model: ModelView, states: torch.Tensor, norm: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """Logits (…, rows of head) of the states after the last layer; `head` may be a part of the output matrix."""
    logits = rms_norm(states, norm, model.shape.norm_eps) @ head.T
    cap = model.shape.final_cap
    return logits if cap is None else torch.tanh(logits / cap) * cap


def load_final_norm(model: ModelView) -> torch.Tensor:
    """The factors of the norm before the output matrix, float32 (hidden,)."""
    return model.shape.norm_offset + model.source.tensor(model.family.final_norm).to(model.device, torch.float32)


def stored_head(model: ModelView) -> torch.Tensor:
    """The output matrix (vocab, hidden) as it is stored, not yet on the device."""
    return model.source.tensor(model.family.embedding if model.shape.tied else model.family.head)


def load_head(model: ModelView) -> tuple[torch.Tensor, torch.Tensor]:
    """The final norm (hidden,) and the whole output matrix (vocab, hidden), float32: for models that fit in memory."""
    return load_final_norm(model), stored_head(model).to(model.device, torch.float32)


def head_parts(model: ModelView, head: torch.Tensor, positions: int) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Every part of so many positions with every part of the output matrix: both as slices, and the rows in float32."""
    for row in range(0, len(head), HEAD_ROWS):
        rows = slice(row, min(row + HEAD_ROWS, len(head)))
        part = head[rows].to(model.device, torch.float32)
        for start in range(0, positions, HEAD_POSITIONS):
            yield slice(start, min(start + HEAD_POSITIONS, positions)), rows, part


def row_losses(model: ModelView, hidden: Sequence[torch.Tensor], batches: Sequence[Batch]) -> list[tuple[float, int]]:
    """Per row, in the order of the batches: summed next-token loss in nats after the last layer, and tokens scored."""
    norm, head = load_final_norm(model), stored_head(model)
    losses = []
    for states, batch in zip(hidden, batches, strict=True):
        scored = batch.valid[:, 1:]
        nats = _token_nats(model, states[:, :-1][scored], batch.ids[:, 1:][scored].to(model.device), norm, head)
        counts = scored.sum(1).tolist()
        losses += [(float(row.sum()), count) for row, count in zip(torch.split(nats, counts), counts, strict=True)]
    return losses


def _token_nats(
    model: ModelView, states: torch.Tensor, targets: torch.Tensor, norm: torch.Tensor, head: torch.Tensor
) -> torch.Tensor:
    """−ln p(target), float64 (positions,)."""
    total = torch.full((len(states),), -torch.inf, dtype=torch.float64, device=states.device)
    right = torch.zeros_like(total)
    for some, rows, part in head_parts(model, head, len(states)):
        logits, wanted = final_logits(model, states[some], norm, part), targets[some]
        total[some] = torch.logaddexp(total[some], logits.logsumexp(1).double())
        here = (wanted >= rows.start) & (wanted < rows.stop)
        right[some][here] = logits[here].gather(1, wanted[here, None] - rows.start)[:, 0].double()
    return total - right


def mean_loss(losses: Sequence[tuple[float, int]]) -> float:
    """Nats per scored token over all rows."""
    return sum(nats for nats, _ in losses) / sum(scored for _, scored in losses)


def stream_losses(model: ModelView, batches: Sequence[Batch]) -> list[tuple[float, int]]:
    """`row_losses` of a model of any widths, one layer in memory at a time."""
    hidden = embed(model, batches)
    for layer in range(model.shape.layers):
        weights = load_layer(model, layer)
        for index, batch in enumerate(batches):
            hidden[index] = pass_layer(model, weights, hidden[index], batch)
    return row_losses(model, hidden, batches)


def stream_loss(model: ModelView, batches: Sequence[Batch]) -> float:
    """Mean next-token loss in nats of a model of any widths."""
    return mean_loss(stream_losses(model, batches))

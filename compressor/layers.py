"""The layer stream: hidden states of every row and one layer's weights at a time, so memory does not grow with depth.

Calibration, reconstruction and the tuning loss all walk the model this way, each through the same five steps of a layer:
`attend`, `ffn_input`, `ffn_inner` (h, the input of down), `ffn_output`, `add_ffn`. Compute is float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from compressor.checkpoint import TensorSource
from compressor.families.contract import Family, ModelShape
from compressor.rows import Batch

CPU = torch.device("cpu")
OPTIONAL = frozenset({"down_bias"})
"""Fields of a layer that a checkpoint may lack."""


@dataclass(frozen=True)
class ModelView:
    """A model to stream: where its tensors are, its family and its dense shape."""

    source: TensorSource
    family: Family
    shape: ModelShape
    frequencies: torch.Tensor
    """Rotary frequencies, float32 (head_dim / 2,)."""
    device: torch.device = field(default=CPU)
    """Where layers and hidden states are."""


@dataclass(frozen=True)
class LayerWeights:
    """One decoder layer in float32, matrices as (out, in)."""

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


def embed(model: ModelView, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """Hidden states before the first layer, float32 (rows, tokens, hidden) per batch."""
    table = model.source.tensor(model.family.embedding)
    return [table[batch.ids].float().to(model.device) for batch in batches]


def load_layer(model: ModelView, layer: int) -> LayerWeights:
    """Read one layer and widen it to float32."""
    names = vars(model.family.layer_names(layer))
    stored = model.source.names()
    wanted = {field: name for field, name in names.items() if field not in OPTIONAL or name in stored}
    return LayerWeights(
        **{field: model.source.tensor(name).to(model.device, torch.float32) for field, name in wanted.items()}
    )


def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMSNorm over the last axis."""
    return weight * (hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + eps))


def attend(model: ModelView, weights: LayerWeights, hidden: torch.Tensor) -> torch.Tensor:
    """`hidden` plus its causal self-attention, (rows, tokens, hidden)."""
    normed = rms_norm(hidden, weights.attention_norm, model.shape.norm_eps)
    return hidden + mix_heads(model, weights, normed) @ weights.o.T


def mix_heads(model: ModelView, weights: LayerWeights, normed: torch.Tensor) -> torch.Tensor:
    """The input of the output projection, (rows, tokens, heads · head_dim), from the normalised hidden states."""
    shape = model.shape
    rows, tokens, _ = normed.shape
    angles = torch.outer(torch.arange(tokens, dtype=torch.float32), model.frequencies).to(normed.device)
    cos, sin = angles.cos(), angles.sin()

    def heads(weight: torch.Tensor, count: int) -> torch.Tensor:
        return (normed @ weight.T).view(rows, tokens, count, shape.head_dim).transpose(1, 2)

    query = _rotate(heads(weights.q, shape.heads), cos, sin)
    key = _rotate(heads(weights.k, shape.kv_heads), cos, sin)
    value = heads(weights.v, shape.kv_heads)
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    return mixed.transpose(1, 2).reshape(rows, tokens, shape.heads * shape.head_dim)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position of (rows, heads, tokens, head_dim); pairs are (i, i + head_dim / 2) as in Hugging Face."""
    first, second = states.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


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
    """The residual stream after the layer: `output` of down (text positions, hidden) added where there is text."""
    result = attended.clone()
    result[valid] += output
    return result


def through_layer(model: ModelView, weights: LayerWeights, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """One batch through one whole layer."""
    attended = attend(model, weights, hidden)
    inner = ffn_inner(model, weights, ffn_input(model, weights, attended, batch.valid))
    return add_ffn(model, weights, attended, batch.valid, ffn_output(weights, inner))


def final_logits(model: ModelView, states: torch.Tensor, norm: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """Logits (…, vocab) of the states after the last layer."""
    return rms_norm(states, norm, model.shape.norm_eps) @ head.T


def load_head(model: ModelView) -> tuple[torch.Tensor, torch.Tensor]:
    """The final norm (hidden,) and the output matrix (vocab, hidden), float32."""
    family = model.family
    head = family.embedding if model.shape.tied else family.head
    norm, matrix = model.source.tensor(family.final_norm), model.source.tensor(head)
    return norm.to(model.device, torch.float32), matrix.to(model.device, torch.float32)


def row_losses(model: ModelView, hidden: Sequence[torch.Tensor], batches: Sequence[Batch]) -> list[tuple[float, int]]:
    """Per row, in the order of the batches: summed next-token loss in nats after the last layer, and tokens scored."""
    norm, head = load_head(model)
    losses = []
    for states, batch in zip(hidden, batches, strict=True):
        for row, ids, valid in zip(states, batch.ids, batch.valid, strict=True):
            length = int(valid.sum())
            logits = final_logits(model, row[: length - 1], norm, head)
            nats = functional.cross_entropy(logits, ids[1:length].to(model.device), reduction="sum")
            losses.append((float(nats.double()), length - 1))
    return losses


def mean_loss(losses: Sequence[tuple[float, int]]) -> float:
    """Nats per scored token over all rows."""
    return sum(nats for nats, _ in losses) / sum(scored for _, scored in losses)


def stream_losses(model: ModelView, batches: Sequence[Batch]) -> list[tuple[float, int]]:
    """`row_losses` of a model of any widths, one layer in memory at a time."""
    hidden = embed(model, batches)
    for layer in range(model.shape.layers):
        weights = load_layer(model, layer)
        for index, batch in enumerate(batches):
            hidden[index] = through_layer(model, weights, hidden[index], batch)
    return row_losses(model, hidden, batches)


def stream_loss(model: ModelView, batches: Sequence[Batch]) -> float:
    """Mean next-token loss in nats of a model of any widths."""
    return mean_loss(stream_losses(model, batches))

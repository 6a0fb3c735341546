"""SliceGPT (Ashkboos et al., arXiv 2401.15024), made anew from its description: the hidden size is pruned by rotation.

RMSNorm weights are folded into the matrices after them, so that the norm commutes with rotations. Before every
attention and every FFN the residual stream X is rotated to the eigenvectors of H = ΣXᵀX + 1% of its mean diagonal · I
(float64) and only the k first directions are kept; the residual connection then carries QₗᵀQₗ₊₁. What the last FFN gives
and the head reads is rotated but keeps the whole hidden size, the default of its code (`do_slice_head=False`). Each H is
taken on the stream that the sliced blocks before it give. Same as published: all of this, one k for all layers, and the
norm's mean over the dense hidden size. Ours: any k rather than multiples of 8, so that the budget is met closely.

Folding the final norm and the last rotation into the head parts it from a tied embedding; both are counted, as are the
residual's matrices. The whole model is in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from compressor.assemble import require_memory
from compressor.errors import BudgetError, FamilyError
from compressor.families.contract import ModelShape
from compressor.layers import LayerWeights, ModelView, embed, ffn_inner, load_head, load_layer, mix_heads
from compressor.rows import Batch
from compressor.walk import Advance

DAMPING = 0.01
FAMILIES = frozenset({"LlamaForCausalLM", "MistralForCausalLM"})
"""Families whose norms are plain RMSNorm before attention and FFN."""


@dataclass(frozen=True)
class SlicedLayer:
    """One decoder layer between three bases; the norms are ones and only there for the stream's functions."""

    weights: LayerWeights
    """q, k, v, gate, up as (out, k); o, down as (k, in), the last layer's down as (hidden, in)."""
    attention_residual: torch.Tensor
    """QᵃᵀQᶠ, (k, k)."""
    ffn_residual: torch.Tensor
    """QᶠᵀQ of the next layer, (k, k), or of the head, (k, hidden)."""


@dataclass(frozen=True)
class Sliced:
    """A whole sliced model, float32."""

    view: ModelView
    embedding: torch.Tensor
    layers: tuple[SlicedLayer, ...]
    head: torch.Tensor

    @property
    def parameters(self) -> int:
        """Every stored number: matrices and residual rotations, embedding and head."""
        tensors = [self.embedding, self.head]
        for layer in self.layers:
            weights = layer.weights
            tensors += [weights.q, weights.k, weights.v, weights.o, weights.gate, weights.up, weights.down]
            tensors += [layer.attention_residual, layer.ffn_residual]
        return sum(tensor.numel() for tensor in tensors)


def count_parameters(shape: ModelShape, width: int) -> int:
    """Parameters of a model sliced to `width` directions; the last FFN's output and the head are not."""
    attention = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
    per_layer = width * (attention + 3 * shape.ffn) + 2 * width * width
    whole = (shape.hidden - width) * (shape.ffn + width)
    return shape.vocab * (width + shape.hidden) + shape.layers * per_layer + whole


def slice_width(shape: ModelShape, parameters: int) -> int:
    """The most directions whose model has at most `parameters`. Raises BudgetError."""
    width = next((width for width in range(shape.hidden, 0, -1) if count_parameters(shape, width) <= parameters), 0)
    if not width:
        raise BudgetError(
            f"slicegpt cannot reach {parameters:,} parameters; its smallest is {count_parameters(shape, 1):,}"
        )
    return width


def slice_model(model: ModelView, batches: Sequence[Batch], width: int, advance: Advance = lambda: None) -> Sliced:
    """Rotate and slice layer by layer on the calibration batches; `advance` once a layer.

    Raises FamilyError, and MemoryShortError with the numbers.
    """
    if FAMILIES.isdisjoint(model.family.architectures):
        raise FamilyError(f"slicegpt is built for {', '.join(sorted(FAMILIES))}, not {model.family.architectures[0]}")
    what = "slicegpt (all sliced weights and the text's hidden states in float32)"
    require_memory(memory_bytes(model.shape, batches, width), what, "take a larger machine", model.device)
    table = model.source.tensor(model.family.embedding).to(model.device, torch.float32)
    states = embed(model, batches)
    basis = _principal(model, states, batches, width)
    embedding, states = table @ basis, [hidden @ basis for hidden in states]
    layers = []
    for index in range(model.shape.layers):
        folded = _fold(load_layer(model, index))
        leave_width = model.shape.hidden if index == model.shape.layers - 1 else width
        layer, basis, states = _slice_layer(model, folded, basis, states, batches, leave_width=leave_width)
        layers.append(layer)
        advance()
    norm, head = load_head(model)
    return Sliced(model, embedding, tuple(layers), (head * norm) @ basis)


def memory_bytes(shape: ModelShape, batches: Sequence[Batch], width: int) -> int:
    """The sliced model, one dense layer and the dense embedding, and three copies of the stream, float32."""
    tokens = sum(batch.ids.numel() for batch in batches)
    layer = shape.hidden * ((2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim + 3 * shape.ffn)
    return 4 * (count_parameters(shape, width) + 2 * layer + shape.vocab * shape.hidden + 3 * tokens * shape.hidden)


def _slice_layer(
    model: ModelView,
    dense: LayerWeights,
    enter: torch.Tensor,
    states: list[torch.Tensor],
    batches: Sequence[Batch],
    *,
    leave_width: int,
) -> tuple[SlicedLayer, torch.Tensor, list[torch.Tensor]]:
    width = enter.shape[1]
    weights = replace(dense, q=dense.q @ enter, k=dense.k @ enter, v=dense.v @ enter)
    full = [x @ enter.T + mix_heads(model, weights, _normed(model, x)) @ dense.o.T for x in states]
    middle = _principal(model, full, batches, width)
    weights = replace(weights, o=middle.T @ dense.o, gate=dense.gate @ middle, up=dense.up @ middle)
    attended = [x @ middle for x in full]
    full = [x @ middle.T + ffn_inner(model, weights, _normed(model, x)) @ dense.down.T for x in attended]
    leave = _principal(model, full, batches, leave_width)
    weights = replace(weights, down=leave.T @ dense.down)
    return SlicedLayer(weights, enter.T @ middle, middle.T @ leave), leave, [x @ leave for x in full]


def _fold(weights: LayerWeights) -> LayerWeights:
    """RMSNorm weights moved into the matrices that read the normalised stream."""
    before, after = weights.attention_norm, weights.ffn_norm
    return replace(
        weights,
        attention_norm=torch.ones_like(before),
        ffn_norm=torch.ones_like(after),
        q=weights.q * before,
        k=weights.k * before,
        v=weights.v * before,
        gate=weights.gate * after,
        up=weights.up * after,
    )


def _principal(model: ModelView, states: Sequence[torch.Tensor], batches: Sequence[Batch], width: int) -> torch.Tensor:
    """The `width` leading eigenvectors of the stream's second moment, float32 (hidden, width)."""
    moment = torch.zeros((model.shape.hidden, model.shape.hidden), dtype=torch.float64, device=model.device)
    for hidden, batch in zip(states, batches, strict=True):
        text = hidden[batch.valid].double()
        moment += text.T @ text
    moment.diagonal().add_(DAMPING * moment.diagonal().mean())
    vectors: torch.Tensor = torch.linalg.eigh(moment).eigenvectors
    return vectors.flip(1)[:, :width].float()


def _normed(model: ModelView, states: torch.Tensor) -> torch.Tensor:
    """RMSNorm without weight; the mean is over the dense hidden size."""
    energy = states.square().sum(-1, keepdim=True) / model.shape.hidden
    return states * torch.rsqrt(energy + model.shape.norm_eps)


def sliced_logits(sliced: Sliced, ids: torch.Tensor) -> torch.Tensor:
    """Logits (rows, tokens, vocab) of token ids (rows, tokens)."""
    model = sliced.view
    states = sliced.embedding[ids.to(model.device)]
    for layer in sliced.layers:
        weights = layer.weights
        mixed = mix_heads(model, weights, _normed(model, states))
        states = states @ layer.attention_residual + mixed @ weights.o.T
        inner = ffn_inner(model, weights, _normed(model, states))
        states = states @ layer.ffn_residual + inner @ weights.down.T
    return _normed(model, states) @ sliced.head.T


def sliced_losses(sliced: Sliced, batches: Sequence[Batch]) -> list[tuple[float, int]]:
    """Per row, in the order of the batches: summed next-token loss in nats, and tokens scored."""
    losses = []
    for batch in batches:
        logits = sliced_logits(sliced, batch.ids).cpu()
        for row, ids, valid in zip(logits, batch.ids, batch.valid, strict=True):
            length = int(valid.sum())
            nats = functional.cross_entropy(row[: length - 1], ids[1:length], reduction="sum")
            losses.append((float(nats.double()), length - 1))
    return losses

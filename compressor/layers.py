"""The layer stream: hidden states of every row and one layer's weights at a time, so memory does not grow with depth.

Calibration, reconstruction and the tuning loss all walk the model this way. Compute is float32; rows are padded on the
right, which causal attention never sees, and padded positions count in no sum.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from compressor.checkpoint import TensorSource
from compressor.families.contract import Family, ModelShape
from compressor.storage import load_tensors, save_tensors

ROWS_PER_BATCH = 8
CHECKPOINT_EVERY_S = 20.0
Advance = Callable[[], None]


@dataclass(frozen=True)
class ModelView:
    """A model to stream: where its tensors are, its family and its dense shape."""

    source: TensorSource
    family: Family
    shape: ModelShape
    frequencies: torch.Tensor
    """Rotary frequencies, float32 (head_dim / 2,)."""


@dataclass(frozen=True)
class Batch:
    """Rows of token ids, int64 (rows, tokens), and which of them are text, bool of the same shape."""

    ids: torch.Tensor
    valid: torch.Tensor


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


def make_batches(samples: Sequence[Sequence[int]], rows: int = ROWS_PER_BATCH) -> list[Batch]:
    """Rows of similar length together, padded on the right with id 0. The order depends on `samples` only."""
    ordered = sorted(samples, key=len, reverse=True)
    return [_pad(ordered[start : start + rows]) for start in range(0, len(ordered), rows)]


def _pad(rows: Sequence[Sequence[int]]) -> Batch:
    ids = torch.zeros((len(rows), len(rows[0])), dtype=torch.int64)
    valid = torch.zeros(ids.shape, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
        valid[index, : len(row)] = True
    return Batch(ids, valid)


def count_tokens(batches: Sequence[Batch]) -> int:
    """Positions that hold text."""
    return sum(int(batch.valid.sum()) for batch in batches)


def embed(model: ModelView, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """Hidden states before the first layer, float32 (rows, tokens, hidden) per batch."""
    table = model.source.tensor(model.family.embedding)
    return [table[batch.ids].float() for batch in batches]


def load_layer(model: ModelView, layer: int) -> LayerWeights:
    """Read one layer and widen it to float32."""
    names = model.family.layer_names(layer)
    return LayerWeights(**{field: model.source.tensor(name).float() for field, name in vars(names).items()})


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
    angles = torch.outer(torch.arange(tokens, dtype=torch.float32), model.frequencies)
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


def add_ffn(attended: torch.Tensor, valid: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """The residual stream after the layer: `output` (text positions, hidden) added where there is text."""
    result = attended.clone()
    result[valid] += output
    return result


def row_losses(model: ModelView, hidden: Sequence[torch.Tensor], batches: Sequence[Batch]) -> tuple[float, int]:
    """Summed next-token loss in nats over all rows after the last layer, and how many tokens were scored."""
    family, shape = model.family, model.shape
    norm = model.source.tensor(family.final_norm).float()
    head = model.source.tensor(family.embedding if shape.tied else family.head).float()
    nats, scored = 0.0, 0
    for states, batch in zip(hidden, batches, strict=True):
        for row, ids, valid in zip(states, batch.ids, batch.valid, strict=True):
            length = int(valid.sum())
            logits = rms_norm(row[: length - 1], norm, shape.norm_eps) @ head.T
            nats += float(functional.cross_entropy(logits, ids[1:length], reduction="sum").double())
            scored += length - 1
    return nats, scored


def stream_loss(model: ModelView, batches: Sequence[Batch]) -> float:
    """Mean next-token loss in nats of a model of any widths, one layer in memory at a time."""
    hidden = embed(model, batches)
    for layer in range(model.shape.layers):
        weights = load_layer(model, layer)
        for index, batch in enumerate(batches):
            attended = attend(model, weights, hidden[index])
            normed = ffn_input(model, weights, attended, batch.valid)
            inner = model.family.activation(normed @ weights.gate.T) * (normed @ weights.up.T)
            hidden[index] = add_ffn(attended, batch.valid, inner @ weights.down.T)
    nats, scored = row_losses(model, hidden, batches)
    return nats / scored


class StreamCheckpoint:
    """Where an interrupted walk over the layers continues: its tensors and the next layer, one file, replaced whole."""

    def __init__(self, path: Path, every_s: float = CHECKPOINT_EVERY_S) -> None:
        self._path, self._every_s = path, every_s
        self._saved_at_s = time.monotonic()

    def load(self) -> tuple[int, dict[str, torch.Tensor]]:
        """The next layer and the saved tensors; (0, {}) where nothing was saved."""
        if not self._path.is_file():
            return 0, {}
        tensors, metadata = load_tensors(self._path)
        return int(metadata["next_layer"]), tensors

    def save_if_due(self, next_layer: int, tensors: Callable[[], dict[str, torch.Tensor]]) -> None:
        """Save when enough work would be lost otherwise: every layer of a small model is too often."""
        if time.monotonic() - self._saved_at_s < self._every_s:
            return
        save_tensors(self._path, tensors(), {"next_layer": str(next_layer)})
        self._saved_at_s = time.monotonic()

    def remove(self) -> None:
        """Forget the state once the result is written."""
        self._path.unlink(missing_ok=True)


def pack_states(prefix: str, hidden: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Hidden states under checkpoint names."""
    return {f"{prefix}.{index:05d}": states for index, states in enumerate(hidden)}


def unpack_states(prefix: str, tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """What `pack_states` stored, in order."""
    return [tensors[name] for name in sorted(tensors) if name.startswith(f"{prefix}.")]


def layers_from(model: ModelView, first: int) -> Iterator[tuple[int, LayerWeights]]:
    """Layers from `first` on, each read when it is reached."""
    for layer in range(first, model.shape.layers):
        yield layer, load_layer(model, layer)

"""Rows of token ids in padded batches: what every walk over a model is fed.

Rows are padded on the right, which causal attention never sees, and padded positions count in no sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

ROWS_PER_BATCH = 8


@dataclass(frozen=True)
class Batch:
    """Rows of token ids, int64 (rows, tokens), and which of them are text, bool of the same shape."""

    ids: torch.Tensor
    valid: torch.Tensor


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

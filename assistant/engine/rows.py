"""What one decode costs by its number of rows, measured on this machine with this model.

Kernels work on rows in blocks: on two x86 cores three rows of a 4-bit model cost more than four. So every small size is
timed, and a step runs the cheapest size that holds its rows.
"""

import bisect
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.runtime.batch import Batch
from models.runtime.context import Context

SMALL_ROWS = 16
"""Sizes up to this are timed one by one; between larger ones a line is drawn."""
_LARGE_ROWS = (32, 64, 128)
_LONG_S = 1.0
"""Where a decode takes longer than this, larger ones are left to the line: a board that is slow would begin a minute later."""
_RUNS = 3
_SLOW_S = 0.1
"""A size that takes longer than this is timed once: the relative noise of a long decode is small."""
_ALWAYS_ROWS = (1, 2, 3, 4, 8, 16)
"""But these always `_RUNS` times: one late decode would change every step as long as the server lives."""


@dataclass(frozen=True)
class RowCosts:
    """Seconds of one decode by its number of rows, for the sizes 1 to `SMALL_ROWS` and some larger ones."""

    elapsed_s: Mapping[int, float]

    def of(self, rows: int) -> float:
        """Seconds that `rows` rows take; between and beyond the measured sizes on the line through the nearest two."""
        if rows in self.elapsed_s:
            return self.elapsed_s[rows]
        sizes = sorted(self.elapsed_s)
        if len(sizes) == 1:
            return self.elapsed_s[sizes[0]] * rows / sizes[0]
        place = min(max(bisect.bisect(sizes, rows), 1), len(sizes) - 1)
        low, high = sizes[place - 1], sizes[place]
        slope = (self.elapsed_s[high] - self.elapsed_s[low]) / (high - low)
        return self.elapsed_s[low] + max(slope, 0.0) * (rows - low)

    def cheapest(self, rows: int) -> int:
        """The size from `rows` to `SMALL_ROWS` that costs least; `rows` itself where that is larger."""
        return min(range(rows, SMALL_ROWS + 1), key=self.of, default=rows)

    def largest_within(self, limit_s: float, most: int) -> int:
        """The largest size up to `most` that stays within `limit_s`; 0 where not even one row does."""
        return next((rows for rows in range(most, 0, -1) if self.of(rows) <= limit_s), 0)

    def prompt_tokens(self, seconds: float) -> int:
        """Tokens of a prompt that are read in so long, at the speed of the largest size."""
        size = max(self.elapsed_s)
        return int(seconds * size / self.elapsed_s[size])


def measure_rows(context: Context) -> RowCosts:
    """Time random tokens in sequence 0, which must be empty and is left so. Raises RuntimeFailure, DecodeAborted."""
    most = min(context.n_batch, context.n_ctx)
    sizes = [size for size in (*range(1, SMALL_ROWS + 1), *_LARGE_ROWS) if size <= most]
    tokens = np.random.default_rng(0).integers(0, context.model.n_vocab, most).tolist()
    with Batch(most) as batch:
        _time_decode(context, batch, tokens[: min(SMALL_ROWS, most)])
        elapsed_s = dict[int, float]()
        for size in sizes:
            if size > SMALL_ROWS and elapsed_s[size // 2] > _LONG_S:
                break
            elapsed_s[size] = _fastest(context, batch, tokens[:size])
        return RowCosts(elapsed_s)


def _fastest(context: Context, batch: Batch, tokens: list[int]) -> float:
    """Noise only adds time, so the fastest run is the truest."""
    first_s = _time_decode(context, batch, tokens)
    more = 0 if first_s > _SLOW_S and len(tokens) not in _ALWAYS_ROWS else _RUNS - 1
    return min([first_s, *(_time_decode(context, batch, tokens) for _ in range(more))])


def _time_decode(context: Context, batch: Batch, tokens: list[int]) -> float:
    batch.clear()
    for position, token in enumerate(tokens):
        batch.add(token, position, [0], True)
    started = time.perf_counter()
    context.decode(batch)
    elapsed_s = time.perf_counter() - started
    context.seq_rm(0)
    return elapsed_s

"""The copy curriculum: segment, filler, the same segment. A small model that has not learned to copy never quotes.

Trained first and kept as a share of every later batch (source: our trial, see the model card).
"""

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def copy_window(rng: np.random.Generator, stream: NDArray[np.uint16], length: int) -> tuple[Ids, NDArray[np.float32]]:
    """Token ids and loss weights, both `(length,)`: weight 1 on the second copy after its first token, 0.05 elsewhere.

    Half of the segments are text, half tokens of the text in random order. Segments have 8 to 50 tokens.
    """
    segment_length = int(rng.integers(8, min(50, length // 2 - 2) + 1))
    ids = _text(rng, stream, length)
    segment = _segment(rng, stream, segment_length)
    start = int(rng.integers(0, length - 2 * segment_length + 1))
    again = int(rng.integers(start + segment_length, length - segment_length + 1))
    ids[start : start + segment_length] = segment
    ids[again : again + segment_length] = segment
    weights = np.full(length, 0.05, np.float32)
    weights[again + 1 : again + segment_length] = 1.0
    return ids, weights


def repeat_window(rng: np.random.Generator, stream: NDArray[np.uint16], length: int) -> tuple[Ids, NDArray[np.float32]]:
    """One segment repeated to fill `length`: the densest signal, which starts copying where scattered copies do not."""
    segment_length = int(rng.integers(6, 33))
    segment = _segment(rng, stream, segment_length)
    weights = np.ones(length, np.float32)
    weights[: segment_length + 1] = 0.05
    return np.resize(segment, length), weights


def _segment(rng: np.random.Generator, stream: NDArray[np.uint16], length: int) -> Ids:
    if rng.random() < 0.5:
        return _text(rng, stream, length)
    # Drawn from the text, not uniformly: rare tokens have no useful embedding yet and teach little.
    return stream[rng.integers(0, len(stream), length)].astype(np.int64)


def _text(rng: np.random.Generator, stream: NDArray[np.uint16], length: int) -> Ids:
    offset = int(rng.integers(0, len(stream) - length))
    return stream[offset : offset + length].astype(np.int64)

"""What sequences held before they were given to another request, in main memory up to a limit of bytes."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

SHORTEST_TOKENS = 32
"""Fewer are computed again as fast."""


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many first tokens are the same."""
    length = min(len(left), len(right))
    a, b = np.asarray(left[:length], dtype=np.int64), np.asarray(right[:length], dtype=np.int64)
    different = np.flatnonzero(a != b)
    return int(different[0]) if len(different) else length


class StateCache:
    """Saved sequences by their tokens, those unused longest given up first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._states: OrderedDict[tuple[int, ...], bytes] = OrderedDict()
        self.bytes_used = 0

    def wants(self, tokens: Sequence[int], size_bytes: int) -> bool:
        """Whether it pays to save them: long enough, within the limit, and not the beginning of what is kept already."""
        if len(tokens) < SHORTEST_TOKENS or size_bytes > self._limit_bytes:
            return False
        return all(common_prefix(kept, tokens) < len(tokens) for kept in self._states)

    def put(self, tokens: Sequence[int], data: bytes) -> None:
        """Keep a state; entries that are its beginnings go, and the oldest until all fit."""
        for kept in [kept for kept in self._states if common_prefix(kept, tokens) == len(kept)]:
            self._drop(kept)
        self._states[tuple(tokens)] = data
        self.bytes_used += len(data)
        while self.bytes_used > self._limit_bytes:
            self._drop(next(iter(self._states)))

    def longest(self, prompt: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """The entry that shares most first tokens with `prompt`, and how many; ((), 0) where none shares any."""
        found = max(((common_prefix(kept, prompt), kept) for kept in self._states), default=(0, ()))
        return (found[1], found[0]) if found[0] else ((), 0)

    def get(self, tokens: tuple[int, ...]) -> bytes:
        """The state of an entry that `longest` named; it counts as used now."""
        self._states.move_to_end(tokens)
        return self._states[tokens]

    def _drop(self, tokens: tuple[int, ...]) -> None:
        self.bytes_used -= len(self._states.pop(tokens))

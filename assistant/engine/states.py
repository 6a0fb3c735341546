"""What sequences held before they were given to another request, in main memory up to a limit of bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORTEST_TOKENS = 32
"""Fewer are computed again as fast."""


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many first tokens are the same."""
    return _common(_key(left), _key(right))


@dataclass(frozen=True)
class SavedState:
    """A sequence's tokens (tokens,) int32, and its cache as `Context.save_state` gives it (bytes,) uint8."""

    tokens: NDArray[np.int32]
    data: NDArray[np.uint8]


class StateCache:
    """Saved sequences by their tokens, those unused longest given up first, pinned ones never."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pinned: list[SavedState] = []
        self._states: list[SavedState] = []

    @property
    def bytes_used(self) -> int:
        """Of all entries."""
        return sum(len(kept.data) for kept in (*self._pinned, *self._states))

    def holds(self, size_bytes: int) -> bool:
        """Whether the limit allows a state of that size, others given up for it."""
        return size_bytes <= self._limit_bytes - self._pinned_bytes()

    def has_room(self, size_bytes: int) -> bool:
        """Whether a state of that size fits beside all that are kept."""
        return self.bytes_used + size_bytes <= self._limit_bytes

    def wants(self, tokens: Sequence[int], size_bytes: int) -> bool:
        """Whether it pays to save them: long enough, within the limit, and not the beginning of what is kept already."""
        if len(tokens) < SHORTEST_TOKENS or not self.holds(size_bytes):
            return False
        key = _key(tokens)
        return all(_common(kept.tokens, key) < len(key) for kept in (*self._pinned, *self._states))

    def put(self, tokens: Sequence[int], data: NDArray[np.uint8]) -> None:
        """Keep a state; entries that are its beginnings go, and the oldest until all fit."""
        key = _key(tokens)
        self._states = [kept for kept in self._states if _common(kept.tokens, key) < len(kept.tokens)]
        self._states.append(SavedState(key, data))
        self._shrink()

    def pin(self, tokens: Sequence[int], data: NDArray[np.uint8]) -> bool:
        """Keep a state for good; False where the limit has no room for it beside the others that are pinned."""
        if not self.holds(len(data)):
            return False
        self._pinned.append(SavedState(_key(tokens), data))
        self._shrink()
        return True

    def _shrink(self) -> None:
        used = self.bytes_used
        while used > self._limit_bytes:
            used -= len(self._states.pop(0).data)

    def _pinned_bytes(self) -> int:
        return sum(len(kept.data) for kept in self._pinned)

    def longest(self, prompt: Sequence[int]) -> tuple[SavedState | None, int]:
        """The entry that shares most first tokens with `prompt`, and how many; None and 0 where none shares any."""
        key = _key(prompt)
        best, length = None, 0
        for kept in (*self._pinned, *self._states):
            if (common := _common(kept.tokens, key)) > length:
                best, length = kept, common
        return best, length

    def use(self, state: SavedState) -> None:
        """It counts as used now."""
        if all(kept is not state for kept in self._pinned):
            self._states = [kept for kept in self._states if kept is not state] + [state]


def _key(tokens: Sequence[int]) -> NDArray[np.int32]:
    return np.asarray(tokens, dtype=np.int32)


def _common(left: NDArray[np.int32], right: NDArray[np.int32]) -> int:
    length = min(len(left), len(right))
    if not length or left[0] != right[0]:
        return 0
    different = left[:length] != right[:length]
    place = int(different.argmax())
    return place if different[place] else length

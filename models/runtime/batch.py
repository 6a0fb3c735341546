"""A batch of tokens for one decode: several sequences may share it."""

import ctypes
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from models.runtime.errors import ContextFull
from models.runtime.library import llama


class Batch:
    """Up to `capacity` tokens, each belonging to at most `n_seq_max` sequences."""

    def __init__(self, capacity: int, n_seq_max: int = 1) -> None:
        library = llama()
        self.capacity = capacity
        self.n_seq_max = n_seq_max
        self._batch = library.llama_batch_init(capacity, 0, n_seq_max)
        self._batch.n_tokens = 0
        self._free = weakref.finalize(self, library.llama_batch_free, _copy(self._batch))

    @property
    def struct(self) -> Any:
        """The C structure, for `Context.decode`."""
        return self._batch

    def __len__(self) -> int:
        return int(self._batch.n_tokens)

    def add(self, token: int, pos: int, seq_ids: Sequence[int], logits: bool) -> int:
        """Append one token at position `pos` of the sequences `seq_ids`; returns its row, for `Context.logits`."""
        row = len(self)
        if row >= self.capacity:
            raise ContextFull(f"the batch holds its {self.capacity} tokens already; decode and clear it first")
        if not 0 < len(seq_ids) <= self.n_seq_max:
            raise ContextFull(f"a token in {len(seq_ids)} sequences does not fit a batch for {self.n_seq_max}")
        batch = self._batch
        batch.token[row] = token
        batch.pos[row] = pos
        batch.n_seq_id[row] = len(seq_ids)
        for index, seq in enumerate(seq_ids):
            batch.seq_id[row][index] = seq
        batch.logits[row] = logits
        batch.n_tokens = row + 1
        return row

    def clear(self) -> None:
        """Forget the tokens, keep the memory."""
        self._batch.n_tokens = 0

    def close(self) -> None:
        """Free the memory; safe to call twice."""
        self._batch.n_tokens = 0
        self.capacity = 0
        self._free()

    def __enter__(self) -> "Batch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _copy(batch: Any) -> Any:
    duplicate = type(batch)()
    ctypes.pointer(duplicate)[0] = batch
    return duplicate

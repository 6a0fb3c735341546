"""A device that runs out of memory: the same work in smaller batches, said once per size; else one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from compressor.errors import MemoryShortError
from compressor.rows import Batch

_ALLOCATOR = "DefaultCPUAllocator"
"""In the RuntimeError of torch's CPU allocator, which has no class of its own."""

Step = Callable[[torch.Tensor, Batch], torch.Tensor]
"""Hidden states (rows, tokens, hidden) of a batch to new ones. Leaves nothing behind when it fails."""


class FittingBatches:
    """Runs steps over batches, halving the rows where the device's memory is short; the size that fits is remembered."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._rows: int | None = None

    def run(self, step: Step, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """`step` over the whole batch, in pieces where needed. Raises MemoryShortError where one row is too much."""
        pieces: list[torch.Tensor] = []
        start, rows = 0, states.shape[0]
        while start < rows:
            end = min(rows, start + (self._rows or rows))
            piece = self._try(step, states[start:end], Batch(batch.ids[start:end], batch.valid[start:end]))
            if piece is not None:
                pieces.append(piece)
                start = end
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _try(self, step: Step, states: torch.Tensor, batch: Batch) -> torch.Tensor | None:
        """None where the memory was short: the next try takes half the rows."""
        rows, tokens = batch.ids.shape
        try:
            return step(states, batch)
        except torch.OutOfMemoryError as error:
            if rows == 1:
                raise MemoryShortError(
                    f"one row of {tokens} tokens does not fit in the memory of {states.device}; "
                    "lower calibrate.tokens_per_sample or use --device cpu"
                ) from error
        self._rows = rows // 2
        self._say(
            f"{states.device} has no memory for {rows} rows of {tokens} tokens; going on with {self._rows} at once"
        )
        torch.cuda.empty_cache()
        return None


@contextmanager
def memory_errors(work: str) -> Iterator[None]:
    """Turn an allocation that fails inside `work`, on any device, into MemoryShortError; other errors pass."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and _ALLOCATOR not in str(error):
            raise
        said = (str(error).splitlines() or ["no more memory"])[0].rstrip(".")
        raise MemoryShortError(
            f"{work} ran out of memory ({said}); lower calibrate.samples, calibrate.tokens_per_sample or the rows of the "
            "step, use --device cpu or a larger machine, and run the same command to continue"
        ) from error

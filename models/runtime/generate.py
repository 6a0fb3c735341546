"""Text from one sequence: prefill in chunks, then a token at a time."""

import codecs
from collections.abc import Iterator, Sequence
from typing import Literal

from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import ContextFull, DecodeAborted
from models.runtime.sampler import Sampler

FinishReason = Literal["stop", "length", "context", "aborted"]


class Generation(Iterator[int]):
    """Token ids as they are known; `finish_reason` is set when they end.

    "stop": the model ended (its end token is not yielded), "length": `max_tokens` reached, "context": no room for
    another token, "aborted": DecodeAborted was raised.
    """

    def __init__(
        self, context: Context, prompt_ids: Sequence[int], sampler: Sampler, max_tokens: int, seq: int = 0
    ) -> None:
        self.finish_reason: FinishReason | None = None
        self._context = context
        self._sampler = sampler
        self._left = max_tokens
        self._seq = seq
        self._position = context.seq_pos_max(seq) + 1
        self._pending = list(prompt_ids)
        end = self._position + len(self._pending)
        if not self._pending or end > context.n_ctx:
            raise ContextFull(f"a prompt ending at token {end} does not fit the context of {context.n_ctx}; shorten it")

    def __next__(self) -> int:
        if self.finish_reason is None and self._left <= 0:
            self.finish_reason = "length"
        if self.finish_reason is None and self._position + len(self._pending) > self._context.n_ctx:
            self.finish_reason = "context"
        if self.finish_reason is not None:
            raise StopIteration
        try:
            row = self._decode_pending()
        except DecodeAborted:
            self.finish_reason = "aborted"
            raise
        except ContextFull as error:
            self.finish_reason = "context"
            raise StopIteration from error
        return self._choose(row)

    def _decode_pending(self) -> int:
        chunk_size = self._context.n_batch
        row = 0
        with Batch(min(chunk_size, len(self._pending))) as batch:
            while self._pending:
                batch.clear()
                chunk = self._pending[:chunk_size]
                for offset, token in enumerate(chunk):
                    last = offset == len(self._pending) - 1
                    row = batch.add(token, self._position + offset, [self._seq], last)
                self._context.decode(batch)
                self._position += len(chunk)
                del self._pending[: len(chunk)]
        return row

    def _choose(self, row: int) -> int:
        token = self._sampler.sample(self._context, row)
        if self._context.model.is_end(token):
            self.finish_reason = "stop"
            raise StopIteration
        self._left -= 1
        self._pending = [token]
        return token


def generate(
    context: Context, prompt_ids: Sequence[int], sampler: Sampler, max_tokens: int, seq: int = 0
) -> Generation:
    """Continue what sequence `seq` holds by `prompt_ids`, then by up to `max_tokens` new tokens.

    The last token yielded is not in the cache. Raises ContextFull at once where the prompt does not fit, DecodeAborted
    while iterating after `context.abort()`.
    """
    return Generation(context, prompt_ids, sampler, max_tokens, seq)


class Utf8Stream:
    """Bytes of tokens in, text out: a code point spread over several tokens appears with its last byte."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def begun(self) -> bool:
        """Whether a code point waits for its last bytes."""
        return bool(self._decoder.getstate()[0])

    def push(self, data: bytes) -> str:
        """The text that `data` completes; bytes that can never be UTF-8 become U+FFFD."""
        return self._decoder.decode(data)

    def finish(self) -> str:
        """What is left at the end: U+FFFD for a code point that was cut off."""
        return self._decoder.decode(b"", final=True)

"""Perplexity of a GGUF file through llama.cpp, in the two conventions that published figures use.

`hf_stride`: each document alone, windows that overlap by half, every token scored once. Each window starts with BOS, where
Hugging Face's guide cuts plain slices: a model that attends to BOS fails without it, in every window but the first.
`llama_cpp_chunk`: all documents as one text, cut into windows that start with BOS, only the second half of each scored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from compressor.walk import Advance
from models.errors import TextError
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.model import Model


@dataclass(frozen=True)
class TextScore:
    """One file on one text. Perplexities are per token of this model's tokenizer; bits per byte compare tokenizers."""

    hf_stride: float
    bits_per_byte: float
    scored_tokens: int
    llama_cpp_chunk: float | None
    """None where the text is shorter than one window."""


class TokenModel(Protocol):
    """What perplexity needs of a model."""

    start: list[int]
    """BOS, where the model has one."""

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text without BOS."""

    def token_size(self, token: int) -> int:
        """Bytes of text that a token stands for."""

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        """−ln p of tokens `first` (at least 1) to the last, each given all before it."""


@dataclass
class _Sum:
    nats: float = 0.0
    tokens: int = 0

    def add(self, nats: Sequence[float]) -> None:
        self.nats += math.fsum(nats)
        self.tokens += len(nats)

    def perplexity(self) -> float:
        return math.exp(self.nats / self.tokens)


def score_text(
    path: Path,
    documents: Sequence[str],
    window: int,
    *,
    kv_type: str = "f16",
    flash_attention: bool | None = None,
    threads: int | None = None,
    advance: Advance = lambda: None,
) -> TextScore:
    """Score `documents` with windows of `window` tokens; `advance` is called once a document. Raises RuntimeFailure."""
    with (
        Model.load(path) as model,
        Context(
            model,
            n_ctx=window,
            n_batch=window,
            n_ubatch=window,
            threads=threads,
            kv_type=kv_type,
            flash_attention=flash_attention,
        ) as context,
    ):
        return score_documents(_GgufTokens(model, context), documents, window, advance)


def score_documents(
    model: TokenModel, documents: Sequence[str], window: int, advance: Advance = lambda: None
) -> TextScore:
    """Score `documents` on any model with windows of `window` tokens; `advance` is called once a document.

    Without BOS nothing stands before a document's first token, which is then not scored, nor are its bytes counted. Raises
    TextError where no token can be scored.
    """
    stride, size_bytes = _Sum(), 0
    for document in documents:
        ids = model.tokenize(document)
        if len(model.start) + len(ids) > 1:
            _score_strided(model, ids, window, stride)
            size_bytes += len(document.encode()) - (0 if model.start else model.token_size(ids[0]))
        advance()
    if not stride.tokens:
        raise TextError("the text holds no token that follows another; give more text")
    chunk = _score_chunks(model, model.tokenize("\n\n".join(documents)), window)
    bits = stride.nats / math.log(2) / size_bytes
    return TextScore(stride.perplexity(), bits, stride.tokens, chunk.perplexity() if chunk.tokens else None)


class _GgufTokens:
    def __init__(self, model: Model, context: Context) -> None:
        self._model, self._context = model, context
        self.start = [] if model.bos is None else [model.bos]

    def tokenize(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_bos=False, parse_special=False)

    def token_size(self, token: int) -> int:
        return len(self._model.token_bytes(token))

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        return token_nats(self._context, ids, first)


def _score_strided(model: TokenModel, ids: Sequence[int], window: int, total: _Sum) -> None:
    start = model.start
    scored_to = 0 if start else 1
    for begin in range(0, len(ids), window // 2):
        end = min(begin + window - len(start), len(ids))
        if end <= scored_to:
            break
        total.add(model.token_nats([*start, *ids[begin:end]], len(start) + scored_to - begin))
        scored_to = end


def _score_chunks(model: TokenModel, ids: Sequence[int], window: int) -> _Sum:
    total = _Sum()
    text = [*model.start, *ids]
    for begin in range(0, len(text) - window + 1, window):
        chunk = [*model.start, *text[begin + len(model.start) : begin + window]]
        total.add(model.token_nats(chunk, window // 2 + 1))
    return total


def token_nats(context: Context, ids: Sequence[int], first: int) -> list[float]:
    """−ln p of tokens `first` (at least 1) to the last, each given all before it; the context is cleared first."""
    context.clear()
    with Batch(len(ids), 1) as batch:
        for position, token in enumerate(ids):
            batch.add(token, position, [0], logits=first - 1 <= position < len(ids) - 1)
        context.decode(batch)
    nats = []
    for position in range(first, len(ids)):
        logits = context.logits(position - 1).astype(np.float64)
        peak = logits.max()
        nats.append(float(peak + np.log(np.exp(logits - peak).sum()) - logits[ids[position]]))
    return nats


def rows_loss(path: Path, rows: Sequence[Sequence[int]]) -> float:
    """Mean next-token loss in nats of rows of token ids, each from an empty context. Raises RuntimeFailure."""
    longest = max(len(row) for row in rows)
    total = _Sum()
    with Model.load(path) as model, Context(model, n_ctx=longest, n_batch=longest, n_ubatch=longest) as context:
        for row in rows:
            total.add(token_nats(context, row, 1))
    return total.nats / total.tokens

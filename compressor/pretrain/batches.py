"""Examples, text and copy windows packed into rows of tokens, with the attention kept inside each piece.

A batch is a pure function of the seed and the step, so that a resumed run sees what an undisturbed one would have seen.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from compressor.examples.corpora import Section
from compressor.examples.grounded import Example, ExampleBuilder
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.copying import copy_window, repeat_window
from compressor.pretrain.tokenizer import BEGIN, END

TEXT, PROMPT, ANSWER, COPY = 1, 2, 3, 4
"""Kinds of target tokens, for the loss log; 0 is padding."""
KIND_NAMES = {TEXT: "text", PROMPT: "prompt", ANSWER: "answer", COPY: "copy"}

_TEXT_MIX = {"medquad": 0.42, "nursing": 0.2, "anatomy": 0.13, "trials": 0.25}
GROUNDED_SHARE, TEXT_SHARE = 0.62, 0.26
"""Shares of the rows in the main part of a run; the rest copies."""


@dataclass(frozen=True)
class Piece:
    """One stretch of tokens that attends only to itself: ids, loss weights and kinds, all `(n,)`."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    kinds: NDArray[np.int8]


@dataclass(frozen=True)
class Batch:
    """Rows of packed pieces, all `(rows, row_tokens)`: ids, positions and piece numbers int64, weights float32, kinds int8.

    `weights[r, t]` weighs the prediction *of* token t; 0 for the first token of a piece and for padding.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    pieces: torch.Tensor
    weights: torch.Tensor
    kinds: torch.Tensor

    def attention_mask(self) -> torch.Tensor:
        """Boolean `(rows, 1, row_tokens, row_tokens)`: causal, and only inside a piece."""
        same = self.pieces[:, :, None] == self.pieces[:, None, :]
        return same.tril()[:, None]

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return int((self.pieces >= 0).sum())


def render_chat(messages: Sequence[Mapping[str, str]]) -> str:
    """The chat template of the reference tokenizer, ready for the answer (a test holds both equal)."""
    turns = "".join(f"<|{message['role']}|>{message['content']}{END}" for message in messages)
    return f"{BEGIN}{turns}<|assistant|>"


def encode_sections(tokenizer: Tokenizer, sections: Sequence[Section], cache: Path) -> NDArray[np.uint16]:
    """All text of a corpus as one stream of ids, documents closed by END; cached as .npy."""
    if cache.exists():
        stream: NDArray[np.uint16] = np.load(cache, mmap_mode="r")
        return stream
    texts = [f"{s.question or f'{s.title}: {s.heading}'}\n{s.text}{END}" for s in sections]
    ids = np.concatenate(
        [
            np.asarray(encoding.ids, np.uint16)
            for start in range(0, len(texts), 1000)
            for encoding in tokenizer.encode_batch(texts[start : start + 1000], add_special_tokens=False)
        ]
    )
    partial = cache.with_suffix(".partial.npy")
    np.save(partial, ids)
    partial.replace(cache)
    return ids


class BatchBuilder:
    """Builds the batch of a step from token streams and grounded examples."""

    def __init__(
        self,
        config: PretrainConfig,
        tokenizer: Tokenizer,
        streams: Mapping[str, NDArray[np.uint16]],
        builders: Sequence[ExampleBuilder],
    ) -> None:
        """`builders` are drawn from in turn with the odds 60/20/10/10 in the order of CORPORA."""
        self.config = config
        self.tokenizer = tokenizer
        self.streams = streams
        self.builders = builders
        self._begin = tokenizer.token_to_id(BEGIN)

    def text(self, step: int) -> Batch:
        """Half a batch of plain text."""
        rng = np.random.default_rng([self.config.seed, 0, step])
        rows = [[self._text(rng, self.config.row_tokens)] for _ in range(self.config.rows // 2)]
        return self._pack(rows, self.config.row_tokens)

    def copying(self, step: int) -> Batch:
        """Half of the rows copy in windows of 128 tokens, a quarter is grounded, a quarter text."""
        return self._mix(step, self.config.row_tokens, grounded=0.25, text=0.25, window=128)

    def mixed(self, step: int, row_tokens: int) -> Batch:
        """Grounded examples, text and some copying in windows of 256, as many rows as keep the batch's size."""
        return self._mix(step, row_tokens, grounded=GROUNDED_SHARE, text=TEXT_SHARE, window=256)

    def _mix(self, step: int, row_tokens: int, *, grounded: float, text: float, window: int) -> Batch:
        rng = np.random.default_rng([self.config.seed, 2, step])
        python_rng = random.Random(f"{self.config.seed}/{step}")
        count = self.config.rows * self.config.row_tokens // row_tokens
        first, second = round(count * grounded), round(count * (grounded + text))
        rows = [self._grounded_row(python_rng, row_tokens) for _ in range(first)]
        rows += [[self._text(rng, row_tokens)] for _ in range(second - first)]
        rows += [[self._copy(rng, window) for _ in range(row_tokens // window)] for _ in range(count - second)]
        return self._pack(rows, row_tokens)

    def example(self, example: Example) -> Piece:
        """A grounded example as tokens: the answer weighted up, the prompt down."""
        prompt = self.tokenizer.encode(render_chat(example.messages()), add_special_tokens=False).ids
        answer = self.tokenizer.encode(example.answer + END, add_special_tokens=False).ids
        weights = [self.config.prompt_weight] * len(prompt) + [self.config.answer_weight] * len(answer)
        weights[len(prompt)] = self.config.decision_weight
        kinds = [PROMPT] * len(prompt) + [ANSWER] * len(answer)
        return Piece(np.asarray(prompt + answer), np.asarray(weights, np.float32), np.asarray(kinds, np.int8))

    def _grounded_row(self, rng: random.Random, row_tokens: int) -> list[Piece]:
        row: list[Piece] = []
        free = row_tokens
        misses = 0
        while misses < 3:
            builder = rng.choices(self.builders, weights=(60, 20, 10, 10)[: len(self.builders)])[0]
            piece = self.example(builder.draw(rng))
            if len(piece.ids) <= free:
                row.append(piece)
                free -= len(piece.ids)
            else:
                misses += 1
        return row

    def _text(self, rng: np.random.Generator, length: int) -> Piece:
        names = list(self.streams)
        odds = np.asarray([_TEXT_MIX[name] for name in names])
        stream = self.streams[str(rng.choice(names, p=odds / odds.sum()))]
        offset = int(rng.integers(0, len(stream) - length))
        ids = np.concatenate([[self._begin], stream[offset : offset + length - 1].astype(np.int64)])
        return Piece(ids, np.ones(length, np.float32), np.full(length, TEXT, np.int8))

    def _copy(self, rng: np.random.Generator, length: int) -> Piece:
        window = repeat_window if rng.random() < 0.5 else copy_window
        ids, weights = window(rng, self.streams["medquad"], length)
        return Piece(ids, weights, np.where(weights == 1.0, COPY, TEXT).astype(np.int8))

    def _pack(self, rows: list[list[Piece]], row_tokens: int) -> Batch:
        shape = (len(rows), row_tokens)
        ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        pieces, weights, kinds = np.full(shape, -1, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.int8)
        for r, row in enumerate(rows):
            start = 0
            for number, piece in enumerate(row):
                span = slice(start, start + len(piece.ids))
                ids[r, span], weights[r, span], kinds[r, span] = piece.ids, piece.weights, piece.kinds
                weights[r, start] = 0.0
                pieces[r, span] = number
                positions[r, span] = np.arange(len(piece.ids))
                start = span.stop
        arrays = (torch.from_numpy(array) for array in (ids, positions, pieces, weights, kinds))
        return Batch(*arrays)

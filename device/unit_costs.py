"""Seconds of each kind of work, from timings of small files, and the speed of any model from them.

A token of an answer takes

    token + layers · layer + matrix bytes · byte + output bytes · output byte + scores · (score + head width · element)

with one score for each query head and cached position, where from 512 on llama.cpp shares out whole blocks of 256 cells
among its threads; a prompt of n tokens in one micro-batch

    token + layers · layer + n · (multiply-adds · multiply-add + activations · activation) + output bytes · output byte
    + scores · (score + head width · element)

where the last layer's FFN counts for one row only and llama.cpp's attention works in tiles of 64 rows and positions, of
which those ahead of all rows are skipped: heads · n · (start + (n + 64) / 2) scores. The terms are of our own making, in the
manner of a roofline (Williams, Waterman and Patterson, 2009) but with what the kernels reach in place of the peaks, and their
units are the least squares of the relative errors over the timed files, none negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from device.workload import Workload

ATTENTION_TILE = 64
MICRO_BATCH_TOKENS = 512
_SPLIT_FROM, _CELL_BLOCK = 512, 256


@dataclass(frozen=True)
class UnitCosts:
    """Seconds for one of each, with that many threads."""

    threads: int
    token_s: float
    layer_s: float
    matrix_byte_s: float
    output_byte_s: float
    multiply_add_s: float
    activation_s: float
    answer_score_s: float
    answer_element_s: float
    prompt_score_s: float
    prompt_element_s: float

    def answer_token_s(self, work: Workload, cached_tokens: int) -> float:
        """Seconds for one token of an answer behind `cached_tokens` others."""
        score_s = self.answer_score_s + work.head_dim * self.answer_element_s
        return (
            self._fixed_s(work)
            + work.matrix_bytes * self.matrix_byte_s
            + work.output_bytes * self.output_byte_s
            + work.heads * searched_cells(cached_tokens, self.threads) * score_s
        )

    def prompt_s(self, work: Workload, tokens: int) -> float:
        """Seconds from nothing to the logits behind a prompt of up to 512 tokens, which llama.cpp computes at once."""
        if not 1 <= tokens <= MICRO_BATCH_TOKENS:
            raise ValueError(f"a prompt of {tokens} tokens is not one micro-batch: 1 to {MICRO_BATCH_TOKENS}")
        score_s = self.prompt_score_s + work.head_dim * self.prompt_element_s
        return (
            self._fixed_s(work)
            + (tokens * work.multiply_adds - (tokens - 1) * work.last_ffn_multiply_adds) * self.multiply_add_s
            + (tokens * work.activations - (tokens - 1) * work.last_ffn_activations) * self.activation_s
            + work.output_bytes * self.output_byte_s
            + prompt_scores(work, 0, tokens) * score_s
        )

    def _fixed_s(self, work: Workload) -> float:
        return self.token_s + work.layers * self.layer_s


def searched_cells(cached_tokens: int, threads: int) -> int:
    """`threads` times the cells in use of which the slowest thread has to search through: it has the first ones."""
    if cached_tokens < _SPLIT_FROM:
        return cached_tokens
    return min(-(-(cached_tokens + 1) // _CELL_BLOCK) * _CELL_BLOCK, threads * cached_tokens)


def prompt_scores(work: Workload, start: int, rows: int) -> float:
    """Attention scores that are computed for `rows` tokens behind `start` others."""
    return work.heads * rows * (start + (rows + ATTENTION_TILE) / 2)


@dataclass(frozen=True)
class Timed:
    """What one small file took. Prompts are of `prompt_tokens` tokens of which every one gives logits."""

    work: Workload
    answer_token_s: float
    """With nothing cached."""
    prompt_tokens: int = 0
    prompt_s: float | None = None
    """From nothing."""
    deep_tokens: int = 0
    deep_answer_token_s: float | None = None
    """With `deep_tokens` cached."""
    deep_prompt_s: float | None = None
    """Of the last `prompt_tokens` before `deep_tokens` are cached."""


def fit_unit_costs(timed: Sequence[Timed], threads: int) -> UnitCosts:
    """The costs that fit best: of an answer by all files, of a prompt by those with `prompt_s`, of attention by the deep.

    Raises:
        ValueError: fewer than four files, fewer than two deep, or fewer than two others with prompts.
    """
    token_s, layer_s, matrix_byte_s, output_byte_s = fit_costs(
        [[1, each.work.layers, each.work.matrix_bytes, each.work.output_bytes] for each in timed],
        [each.answer_token_s for each in timed],
    )
    answer = fit_costs(*_answer_attention(timed, threads))
    prompt = fit_costs(*_prompt_attention(timed))
    fixed_s = {id(each): token_s + each.work.layers * layer_s for each in timed}
    read = [
        each for each in timed if each.prompt_s is not None and each.deep_prompt_s is None
    ]  # no attention to speak of
    multiply_add_s, activation_s = fit_costs(
        [[each.prompt_tokens * each.work.multiply_adds, each.prompt_tokens * each.work.activations] for each in read],
        [
            (each.prompt_s or 0.0)
            - fixed_s[id(each)]
            - prompt_scores(each.work, 0, each.prompt_tokens) * (prompt[0] + each.work.head_dim * prompt[1])
            for each in read
        ],
    )
    return UnitCosts(
        threads, token_s, layer_s, matrix_byte_s, output_byte_s, multiply_add_s, activation_s, *answer, *prompt
    )


def _answer_attention(timed: Sequence[Timed], threads: int) -> tuple[list[list[float]], list[float]]:
    """By how much a token takes longer behind others."""
    deep = [(each, each.deep_answer_token_s) for each in timed if each.deep_answer_token_s is not None]
    scores = [each.work.heads * searched_cells(each.deep_tokens, threads) for each, _ in deep]
    counts = [[float(count), float(count * each.work.head_dim)] for count, (each, _) in zip(scores, deep, strict=True)]
    return counts, [seconds - each.answer_token_s for each, seconds in deep]


def _prompt_attention(timed: Sequence[Timed]) -> tuple[list[list[float]], list[float]]:
    """By how much a micro-batch takes longer behind others."""
    counts, seconds = [], []
    for each in timed:
        if each.deep_prompt_s is None or each.prompt_s is None:
            continue
        start = each.deep_tokens - each.prompt_tokens
        scores = prompt_scores(each.work, start, each.prompt_tokens) - prompt_scores(each.work, 0, each.prompt_tokens)
        counts.append([scores, scores * each.work.head_dim])
        seconds.append(each.deep_prompt_s - each.prompt_s)
    return counts, seconds


def fit_costs(counts: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[float]:
    """Costs, none below 0, of which counts (rows, kinds) make up `seconds` (rows,) with the least relative errors squared.

    Exact for the few kinds there are: every choice of kinds that cost anything is solved by itself.
    Raises ValueError where there are more kinds than rows.
    """
    rows, kinds = len(counts), len(counts[0]) if counts else 0
    if rows < max(kinds, 1):
        raise ValueError(f"{rows} timings do not tell {kinds} kinds of work apart")
    target = np.maximum(np.array(seconds, dtype=np.float64), 1e-9)
    relative = np.array(counts, dtype=np.float64) / target[:, None]
    scale = np.maximum(np.abs(relative).max(axis=0), 1e-300)
    best, best_error = np.zeros(kinds), float(rows)
    for chosen in chain.from_iterable(combinations(range(kinds), size) for size in range(1, kinds + 1)):
        costs = _solved(relative[:, chosen] / scale[list(chosen)])
        error = float(np.square(relative[:, chosen] / scale[list(chosen)] @ costs - 1).sum())
        if costs.min() >= 0 and error < best_error:
            best, best_error = np.zeros(kinds), error
            best[list(chosen)] = costs / scale[list(chosen)]
    return [float(cost) for cost in best]


def _solved(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares of `columns` (rows, kinds) against ones."""
    return np.asarray(np.linalg.lstsq(columns, np.ones(len(columns)), rcond=None)[0], dtype=np.float64)

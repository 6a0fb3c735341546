"""How fast a model file reads and writes text here, by our own clock.

llama.cpp's own counters take every batch of more than one token for prompt work, so they cannot be used once several
sequences are decoded together.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.model import Model
from models.runtime.sampler import Sampler

_WARM_UP_TOKENS = 4  # in one batch, then as many one by one: all weights are read, both kernels used


@dataclass(frozen=True)
class Speed:
    """Medians over `runs` runs after a warm-up."""

    prompt_tokens_per_s: float
    decode_tokens_per_s: float
    ttft_s: float
    """From the start of the prompt to the first token chosen."""
    prompt_tokens: int
    decode_tokens: int
    threads: int
    runs: int


@dataclass(frozen=True)
class AnswerTimes:
    """Moments of one answer, all on one clock."""

    start_s: float
    first_token_s: float
    """When the first token was chosen: the prompt is read by then."""
    end_s: float

    @property
    def prompt_s(self) -> float:
        """The time to the first token."""
        return self.first_token_s - self.start_s

    @property
    def decode_s(self) -> float:
        """For all tokens after the first."""
        return self.end_s - self.first_token_s


def measure_speed(
    path: str | Path, prompt_tokens: int = 256, decode_tokens: int = 64, threads: int | None = None, runs: int = 3
) -> Speed:
    """Decode random tokens of the model at `path`: a prompt, then one token at a time, each with greedy choice.

    Raises RuntimeFailure where a count is below 1, and what loading raises.
    """
    if min(prompt_tokens, decode_tokens, runs) < 1:
        raise RuntimeFailure(f"cannot time {prompt_tokens}+{decode_tokens} tokens {runs} times; each must be 1 or more")
    total = prompt_tokens + decode_tokens
    with Model.load(path) as model, Context(model, total, n_batch=prompt_tokens, threads=threads) as context:
        tokens = np.random.default_rng(0).integers(0, model.n_vocab, total).tolist()
        time_answer(context, tokens[: 2 * _WARM_UP_TOKENS], min(_WARM_UP_TOKENS, prompt_tokens))
        timed = [time_answer(context, tokens, prompt_tokens) for _ in range(runs)]
        prompt_s = statistics.median(run.prompt_s for run in timed)
        decode_s = statistics.median(run.decode_s for run in timed)
        return Speed(
            prompt_tokens_per_s=prompt_tokens / prompt_s,
            decode_tokens_per_s=decode_tokens / decode_s,
            ttft_s=prompt_s,
            prompt_tokens=prompt_tokens,
            decode_tokens=decode_tokens,
            threads=context.threads,
            runs=runs,
        )


def time_answer(
    context: Context, tokens: Sequence[int], prompt_tokens: int, clock: Callable[[], float] = time.monotonic
) -> AnswerTimes:
    """When `tokens[:prompt_tokens]`, in one batch, and the others, one by one, were decoded; what is chosen is dropped."""
    context.clear()
    with Sampler() as sampler, Batch(prompt_tokens) as batch:
        start_s = clock()
        for position, token in enumerate(tokens[:prompt_tokens]):
            row = batch.add(token, position, [0], position == prompt_tokens - 1)
        context.decode(batch)
        sampler.sample(context, row)
        first_token_s = clock()
        for position, token in enumerate(tokens[prompt_tokens:], start=prompt_tokens):
            batch.clear()
            batch.add(token, position, [0], True)
            context.decode(batch)
            sampler.sample(context, 0)
        return AnswerTimes(start_s, first_token_s, clock())

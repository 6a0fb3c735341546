"""One stream of tokens through the real runtime: fixed work for each answer, or a question answered to its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from device.bench.questions import MAX_TOKENS, QUESTIONS
from device.bench.series import Answer, Task
from device.bench.settings import ROOM_TOKENS, Settings
from device.errors import BenchError
from models.gguf_layout import GgufHeader
from models.runtime.chat import ChatTemplate
from models.runtime.context import Context
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler
from models.runtime.speed import AnswerTimes, time_answer
from models.synthetic.gguf import NAME as RANDOM_WEIGHTS

BATCH_TOKENS = 512


class Engine(Protocol):
    """What a run needs of a loaded model."""

    @property
    def room(self) -> int:
        """Tokens of the longest fixed answer that the context holds behind the prompt."""

    def fixed(self, tokens: int) -> Task:
        """The same prompt each time, answered by exactly so many tokens."""

    def questions(self) -> list[Task]:
        """The fixed questions, as this model's chat template puts them."""

    def answer(self, task: Task) -> Answer:
        """Do it now."""


def context_tokens(settings: Settings, header: GgufHeader) -> int:
    """Tokens of context for a run.

    Raises:
        BenchError: the prompt and an answer do not fit into it.
    """
    if settings.natural:
        return settings.context or min(header.n_ctx_train, ROOM_TOKENS)
    wanted = settings.prompt_tokens + (settings.tokens or ROOM_TOKENS)
    tokens = settings.context or min(header.n_ctx_train, wanted)
    needed = settings.prompt_tokens + (settings.tokens or 1)
    if needed > tokens:
        raise BenchError(f"{needed} tokens of prompt and answer do not fit a context of {tokens}; ask for fewer")
    return tokens


def require_text(header: GgufHeader) -> None:
    """Refuse natural answers of a file that gives none.

    Raises:
        BenchError: it has random weights, or no chat template.
    """
    if header.name == RANDOM_WEIGHTS:
        raise BenchError(f"{header.path} has random weights: its answers never end; leave out --natural")
    if not header.has_chat_template:
        raise BenchError(f"{header.path} has no chat template to ask questions with; leave out --natural")


class LlamaEngine:
    """A model and a context with one sequence."""

    def __init__(self, context: Context, prompt_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._prompt_tokens, self._clock = context, prompt_tokens, clock
        generator = np.random.default_rng(0)
        self._tokens = tuple(generator.integers(0, context.model.n_vocab, context.n_ctx).tolist())

    @property
    def threads(self) -> int:
        """That compute."""
        return self._context.threads

    @property
    def context_tokens(self) -> int:
        """What llama.cpp made of the number asked for: it rounds up."""
        return self._context.n_ctx

    @property
    def room(self) -> int:
        """Tokens of the longest fixed answer that the context holds behind the prompt."""
        return self._context.n_ctx - self._prompt_tokens

    def fixed(self, tokens: int) -> Task:
        """Random tokens, the same in each run: speed does not depend on what they say."""
        return Task(self._tokens[: self._prompt_tokens], tokens)

    def questions(self) -> list[Task]:
        """Raises TemplateError where the file cannot be asked."""
        template = ChatTemplate.from_model(self._context.model)
        prompts = (
            template.prompt_ids(self._context.model, [{"role": "user", "content": question}]) for question in QUESTIONS
        )
        return [Task(tuple(prompt), MAX_TOKENS, text) for text, prompt in zip(QUESTIONS, prompts, strict=True)]

    def answer(self, task: Task) -> Answer:
        """The likeliest token each time."""
        return self._answer_question(task) if task.question is not None else self._answer_fixed(task)

    def _answer_fixed(self, task: Task) -> Answer:
        prompt_tokens = len(task.prompt)
        tokens = self._tokens[: prompt_tokens + task.tokens - 1]  # nothing follows the last one
        times = time_answer(self._context, tokens, prompt_tokens, self._clock)
        return Answer(task, task.tokens, times, "length")

    def _answer_question(self, task: Task) -> Answer:
        self._context.clear()
        with Sampler() as sampler:
            start_s = first_s = self._clock()
            tokens, generation = 0, generate(self._context, task.prompt, sampler, task.tokens)
            for _ in generation:
                tokens += 1
                if tokens == 1:
                    first_s = self._clock()
            times = AnswerTimes(start_s, first_s, self._clock())
        if tokens == 0:
            raise BenchError(f"{self._context.model.path} answers {task.question!r} with nothing; leave out --natural")
        assert generation.finish_reason is not None
        return Answer(task, tokens, times, generation.finish_reason)


@contextmanager
def open_engine(path: Path, settings: Settings, n_ctx: int) -> Iterator[LlamaEngine]:
    """Load a file and make a context; both are freed in the end. Raises RuntimeFailure."""
    n_batch = max(BATCH_TOKENS, settings.prompt_tokens)
    with Model.load(path) as model, Context(model, n_ctx, n_batch=n_batch, threads=settings.threads) as context:
        yield LlamaEngine(context, settings.prompt_tokens)

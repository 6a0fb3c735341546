"""One model in one context of one sequence: prompts in, text out as it is known."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from assistant.engine.neighbours import NeighbourMeter, threads_beside
from assistant.engine.pace import Pace
from assistant.engine.repetition import repeats
from assistant.engine.usage import Usage
from assistant.errors import PromptTooLongError
from models.runtime.chat import ChatTemplate
from models.runtime.context import Context
from models.runtime.generate import Utf8Stream, generate
from models.runtime.library import default_threads
from models.runtime.model import Model
from models.runtime.sampler import Sampler, SamplingOptions

MAX_ANSWER_TOKENS = 512
_MAX_CONTEXT_TOKENS = 4096  # passages, note and answer of one question; more would only cost memory on a small board
_ANSWER_SHARE = 4  # an answer gets at most this fraction (1/n) of a small context


class Engine:
    """A model ready to answer. Only `abort` may be called from another thread."""

    def __init__(self, model: Model, template: ChatTemplate, context: Context, load_s: float) -> None:
        self.model = model
        self.usage = Usage(load_s=load_s)
        self._template = template
        self._context = context

    @classmethod
    def open(cls, path: Path, neighbours: NeighbourMeter) -> "Engine":
        """Load a GGUF file. Raises ModelFileError, TemplateError or RuntimeFailure; nothing stays open then.

        Threads are chosen when the load is done, by what `neighbours` has measured until then.
        """
        started = time.monotonic()
        model = Model.load(path)
        try:
            template = ChatTemplate.from_model(model)
            threads = threads_beside(neighbours.busy_cores(), default_threads())
            context = Context(model, min(model.n_ctx_train, _MAX_CONTEXT_TOKENS), threads=threads)
        except BaseException:
            model.close()
            raise
        return cls(model, template, context, time.monotonic() - started)

    @property
    def max_answer_tokens(self) -> int:
        """How long an answer may get."""
        return min(MAX_ANSWER_TOKENS, self._context.n_ctx // _ANSWER_SHARE)

    @property
    def max_prompt_tokens(self) -> int:
        """How long a prompt may get so that an answer of full length fits behind it."""
        return self._context.n_ctx - self.max_answer_tokens

    def count_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """The length of the prompt that these messages make."""
        return len(self._template.prompt_ids(self.model, messages))

    def stream(self, messages: Sequence[Mapping[str, str]]) -> Iterator[str]:
        """Text pieces of the likeliest answer; `usage` is complete when they end.

        Raises PromptTooLongError before anything is computed, DecodeAborted after `abort`.
        """
        prompt_ids = self._template.prompt_ids(self.model, messages)
        if len(prompt_ids) > self.max_prompt_tokens:
            raise PromptTooLongError(
                f"question and note take {len(prompt_ids)} tokens and the context of {self._context.n_ctx} holds"
                f" {self.max_prompt_tokens} beside the answer; shorten them"
            )
        self._context.clear()
        return self._generate(prompt_ids)

    def _generate(self, prompt_ids: list[int]) -> Iterator[str]:
        text, pace = Utf8Stream(), Pace(self._context.threads)
        written: list[int] = []
        circling = False
        first_at = 0.0
        started = now = time.monotonic()
        with Sampler(SamplingOptions(temperature=0.0)) as sampler:
            tokens = generate(self._context, prompt_ids, sampler, self.max_answer_tokens)
            for token in tokens:
                before, now = now, time.monotonic()
                written.append(token)
                first_at = first_at or now
                if len(written) > 1 and pace.observe(now - before):
                    self._context.set_threads(pace.threads)
                if piece := text.push(self.model.token_bytes(token)):
                    yield piece
                if circling := repeats(written):
                    break
        if piece := text.finish():
            yield piece
        self.usage = Usage(
            prompt_tokens=len(prompt_ids),
            completion_tokens=len(written),
            load_s=self.usage.load_s,
            first_token_s=first_at - started if written else None,
            decode_s=now - first_at if written else None,
            finish_reason="repetition" if circling else tokens.finish_reason,
        )

    def abort(self) -> None:
        """Stop the running answer within milliseconds; from any thread."""
        self._context.abort()

    def close(self) -> None:
        """Free context and model. No thread may be streaming."""
        self._context.close()
        self.model.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

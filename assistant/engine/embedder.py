"""The embedding engine's thread: texts in, unit vectors out, over one context. Only this thread touches it, but for `abort`.

Each request's texts are decoded a batch at a time, as many sequences as fit; requests take turns batch by batch, so that a
long list does not keep a single text waiting.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assistant.engine.progress import Progress
from assistant.engine.stats import EngineStats
from assistant.errors import EngineClosedError, PromptTooLongError, QueueFullError
from device.monitor import Monitor
from models.errors import ModelFileError, RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import DecodeAborted

BATCH_TOKENS = 512
"""Short texts are read together up to so many tokens: more are hardly faster, and others wait for the batch."""
Vectors = NDArray[np.float32]
Texts = Sequence[Sequence[int]]
"""Token ids of each text."""


@dataclass(eq=False)
class EmbeddingJob:
    """One request's texts; `vectors` comes to hold theirs (texts, width), in order, of length 1, or what went wrong."""

    texts: Texts
    vectors: Future[Vectors] = field(default_factory=Future)
    done: list[Vectors] = field(default_factory=list)

    @property
    def left(self) -> Texts:
        """The texts without a vector."""
        return self.texts[len(self.done) :]


class Embedder:
    """Jobs in, vectors out, over one context with pooling that holds a whole text in a micro-batch."""

    def __init__(self, context: Context, *, queue_limit: int, monitor: Monitor | None = None) -> None:
        """`monitor` is told what each step computes."""
        self._context, self._queue_limit, self._monitor = context, queue_limit, monitor
        self._batch = Batch(context.n_ubatch)
        self.progress = Progress()
        self._jobs: deque[EmbeddingJob] = deque()
        """The one whose turn it is comes first."""
        self._decoding: EmbeddingJob | None = None
        self._changed = threading.Condition()
        self._failure: EngineClosedError | None = None
        self._steps = self._aborted_steps = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="bedside-embedder", daemon=True)
        self._thread.start()

    @property
    def room(self) -> int:
        """Tokens that one text may have."""
        return min(self._context.n_ubatch, self._context.model.n_ctx_train)

    def check_alive(self) -> None:
        """Raise EngineClosedError where it takes no job any more, with the reason."""
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise EngineClosedError("the engine is shutting down; try again in a moment")

    def wait(self) -> None:
        """Until it has failed, or is closed; all that ran has then been told."""
        self._thread.join()

    def stats(self) -> EngineStats:
        """What it does now, and has done so far; from any thread."""
        running = int(self._decoding is not None)
        return EngineStats(
            running=running,
            waiting=max(0, len(self._jobs) - running),
            threads=self._context.threads,
            steps=self._steps,
            aborted_steps=self._aborted_steps,
        )

    def submit(self, texts: Texts) -> EmbeddingJob:
        """Queue texts of a token at least. Raises PromptTooLongError where one can never fit, QueueFullError,
        EngineClosedError, and UnknownTokenError for a token that the model does not have."""
        for place, tokens in enumerate(texts):
            self._context.model.check_tokens(tokens)
            if len(tokens) > self.room:
                raise PromptTooLongError(
                    f"input {place} has {len(tokens)} tokens and the model reads {self.room} at once; shorten it"
                )
        job = EmbeddingJob(texts)
        job.vectors.set_running_or_notify_cancel()  # whoever waits for it cannot cancel it but by `cancel`
        with self._changed:
            self.check_alive()
            if len(self._jobs) > self._queue_limit:
                raise QueueFullError(f"{len(self._jobs) - 1} requests wait already; try again in a moment")
            self._jobs.append(job)
            self._changed.notify()
        return job

    def cancel(self, job: EmbeddingJob) -> None:
        """Drop a job, in the middle of its decode as well; one that has ended is left alone."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
            if self._decoding is job:
                self._context.abort()

    def close(self) -> None:
        """Fail what waits and runs, and end the thread."""
        with self._changed:
            self._closing = True
            if self._decoding is not None:
                self._context.abort()
            self._changed.notify()
        self._thread.join()
        self._batch.close()

    def _run(self) -> None:
        error = EngineClosedError("the engine is shutting down; try again in a moment")
        try:
            while (job := self._next()) is not None:
                self._step(job)
        except ModelFileError as caught:
            error = self._failure = EngineClosedError(str(caught))
        except BaseException as caught:  # a fault of our own must not leave anyone waiting for ever
            # Its text may hold a patient's words, so only its kind is told.
            error = self._failure = EngineClosedError(f"the engine has failed ({type(caught).__name__}); restart it")
        with self._changed:
            self._closing = True
            waiting = [*self._jobs]
            self._jobs.clear()
        for job in waiting:
            job.vectors.set_exception(error)

    def _next(self) -> EmbeddingJob | None:
        with self._changed:
            # Whoever was dropped after his decode had ended must not end another's.
            self._context.reset_abort()
            while not (self._jobs or self._closing):
                self._decoding = None
                self.progress.rest()
                self._changed.wait()
            self._decoding = None if self._closing else self._jobs[0]
            return self._decoding

    def _step(self, job: EmbeddingJob) -> None:
        """One decode of a job's next texts; then it is another's turn."""
        failure: RuntimeFailure | None = None
        try:
            with nullcontext() if self._monitor is None else self._monitor.step(lambda: [(None, 1)]):
                texts = _that_fit(job.left, self._context)
                self.progress.begin(max(1.0, sum(map(len, texts)) / BATCH_TOKENS))  # a long text is a single decode
                job.done += self._embed(texts)
        except DecodeAborted:
            self._aborted_steps += 1
        except RuntimeFailure as error:
            failure = error
        vectors = None if job.left else np.stack(job.done)
        with self._changed:
            self._steps += 1
            if job not in self._jobs:
                return
            self._jobs.remove(job)
            if failure is None and vectors is None:
                self._jobs.append(job)
                return
        if failure is not None:
            job.vectors.set_exception(failure)
        elif vectors is not None:
            job.vectors.set_result(vectors)

    def _embed(self, texts: Texts) -> list[Vectors]:
        self._batch.clear()
        for seq, tokens in enumerate(texts):
            for position, token in enumerate(tokens):
                self._batch.add(token, position, [seq], True)
        try:
            self._context.decode(self._batch)
            return [unit(self._context.pooled_embedding(seq)) for seq in range(len(texts))]
        finally:
            self._context.clear()


def unit(vectors: Vectors) -> Vectors:
    """`vectors` (..., width) at length 1. Raises RuntimeFailure for one that has no direction."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise RuntimeFailure("the model gave a vector without a direction; use another text or another model file")
    return np.asarray(vectors / lengths, np.float32)


def _that_fit(texts: Texts, context: Context) -> Texts:
    """The first text, and those after it that can be decoded with it."""
    tokens = 0
    for count, text in enumerate(texts[: context.n_seq_max]):
        tokens += len(text)
        if count and tokens > min(BATCH_TOKENS, context.n_ubatch):
            return texts[:count]
    return texts[: context.n_seq_max]

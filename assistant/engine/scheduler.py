"""The engine's thread: every step decodes a token for each answer and a piece of the prompts that wait.

A step is planned by its measured cost (`step`), carried out in one decode over all sequences, and its rows are sampled
one after the other (`running`). Only this thread touches the context, but for `abort`.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from assistant.engine.kept import KeptPrompts
from assistant.engine.outbox import Outbox
from assistant.engine.pace import Pace
from assistant.engine.progress import Progress
from assistant.engine.readers import Part
from assistant.engine.request import Event, Failed, Finished, FinishReason, Piece, PromptScores, Queued, Ticket
from assistant.engine.rows import SMALL_ROWS, RowCosts
from assistant.engine.running import Running
from assistant.engine.slots import Slots
from assistant.engine.states import StateCache, common_prefix
from assistant.engine.stats import EngineStats
from assistant.engine.step import ALONE_LIMIT_S, is_reproducible, next_parts
from assistant.errors import EngineClosedError, PromptTooLongError, QueueFullError
from device.monitor import Monitor
from models.errors import ModelFileError, RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import DecodeAborted

STEP_LIMIT_S = 0.3
"""A step that others wait for takes no longer, so that text flows."""
CANCEL_S = 0.2
"""A cancellation waits so long for a step with others in it; else the step is given up and done again without."""
SHARED_TOKENS = 64
"""A prompt waits for another to be read where they have so many more tokens in common."""
_LEARNING_SLOWER, _LEARNING_FASTER, _MOST_RATIO = 0.3, 0.1, 10.0


class Scheduler:
    """Requests in, events out, over one context whose last sequence is kept for padding."""

    def __init__(
        self,
        context: Context,
        costs: RowCosts,
        *,
        states: StateCache,
        queue_limit: int,
        kept: KeptPrompts | None = None,
        most_threads: int | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        """`monitor` is told what each step computes, to measure what it costs."""
        self._context, self._costs, self._queue_limit, self._kept = context, costs, queue_limit, kept
        self._monitor = monitor
        self._slots = Slots(context, states)
        self._outbox = Outbox()
        self.progress = Progress()
        self._batch = Batch(context.n_batch)
        self._queue: deque[Ticket] = deque()
        self._running: list[Running] = []
        self._changed = threading.Condition()
        self._decoding: tuple[Ticket, ...] = ()
        """The requests of the decode that runs now; aborting that of a single one costs nobody else."""
        self._step_ends_at = 0.0
        """When that decode will be done, as far as is known."""
        self._redoing = False
        """Whether the last decode was given up for one of several: the next one is not, so that the others move on."""
        self._first_threads = context.threads
        """What a request that is to be reproducible is computed with, whatever the pace is now."""
        self._pace = Pace(most_threads or context.threads, context.threads)
        self._slowness = 1.0
        """What steps take against what was measured at the start."""
        self._failure: EngineClosedError | None = None
        self._steps = self._aborted_steps = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="bedside-engine", daemon=True)
        self._thread.start()

    @property
    def room(self) -> int:
        """Tokens of prompt and answer that one request may have; the model may have been trained on fewer."""
        return min(self._context.n_ctx - SMALL_ROWS, self._context.model.n_ctx_train)

    def check_alive(self) -> None:
        """Raise EngineClosedError where it takes no request any more, with the reason."""
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise EngineClosedError("the engine is shutting down; try again in a moment")

    def wait(self) -> None:
        """Until it has failed, or is closed; all that ran has then been told."""
        self._thread.join()

    def stats(self) -> EngineStats:
        """What it does now, and has done so far; from any thread."""
        return EngineStats(
            running=len(self._running),
            waiting=len(self._queue),
            threads=self._context.threads,
            aborted_steps=self._aborted_steps,
            steps=self._steps,
        )

    def submit(self, ticket: Ticket) -> None:
        """Queue a request. Raises PromptTooLongError where it can never fit, QueueFullError, EngineClosedError, and
        UnknownTokenError for a token that the model does not have."""
        request = ticket.request
        self._context.model.check_tokens([*request.prompt, *(token for token, _ in request.options.logit_bias)])
        if len(request.prompt) >= self.room:
            raise PromptTooLongError(
                f"the prompt has {len(request.prompt)} tokens and the context holds {self.room - 1} beside an answer;"
                " shorten it"
            )
        with self._changed:
            self.check_alive()
            if len(self._queue) >= self._queue_limit:
                raise QueueFullError(f"{len(self._queue)} requests wait already; try again in a moment")
            ticket.listener(Queued(len(self._queue)))
            self._queue.append(ticket)
            self._changed.notify()

    def cancel(self, ticket: Ticket) -> None:
        """End a request: in the queue, between two steps, or inside a step that is all its own."""
        with self._changed:
            ticket.cancelled = True
            if ticket in self._decoding and (len(self._decoding) == 1 or self._is_worth_redoing()):
                self._context.abort()
            self._changed.notify()

    def _is_worth_redoing(self) -> bool:
        """Whether the step has long to go, so that the others had better begin it again; a recurrent state cannot go back."""
        has_long_to_go = time.perf_counter() + CANCEL_S < self._step_ends_at
        return has_long_to_go and not self._redoing and not self._context.model.is_recurrent

    def close(self) -> None:
        """Fail what waits and runs, and end the thread."""
        with self._changed:
            self._closing = True
            self._context.abort()
            self._changed.notify()
        self._thread.join()
        self._context.reset_abort()
        self._batch.close()
        if self._kept is not None:
            self._kept.close()

    def _run(self) -> None:
        error = EngineClosedError("the engine is shutting down; try again in a moment")
        try:
            while self._wait_for_work():
                self._end_unwanted()
                self._admit()
                if self._running:
                    self._step()
        except ModelFileError as caught:
            error = self._failure = EngineClosedError(str(caught))
        except BaseException as caught:  # a fault of our own must not leave anyone waiting for ever
            # Its text may hold a patient's words, so only its kind is told.
            error = self._failure = EngineClosedError(f"the engine has failed ({type(caught).__name__}); restart it")
        with self._changed:
            self._closing = True
            waiting = [*self._queue]
            self._queue.clear()
        for ticket in [*(running.ticket for running in self._running), *waiting]:
            self._outbox.put(ticket, Failed(error))
        self._outbox.send()

    def _wait_for_work(self) -> bool:
        if not self._running:
            self._outbox.send()
        with self._changed:
            while not (self._queue or self._running or self._closing):
                self.progress.rest()
                self._changed.wait()
            self.progress.begin()
            return not self._closing

    def _end_unwanted(self) -> None:
        """What was cancelled or is past its deadline ends here, waiting or running."""
        now = time.monotonic()
        for running in list(self._running):
            if (reason := running.ticket.unwanted(now)) is not None:
                self._finish(running, reason)
        with self._changed:
            ended = [(ticket, reason) for ticket in self._queue if (reason := ticket.unwanted(now)) is not None]
            for ticket, _ in ended:
                self._queue.remove(ticket)
            if ended:
                self._tell_positions()
        for ticket, reason in ended:
            self._outbox.put(
                ticket, Finished(reason, len(ticket.request.prompt), 0, 0, now - ticket.submitted_at, None, None, 0, 0)
            )

    def _tell_positions(self) -> None:
        for position, ticket in enumerate(self._queue):
            self._outbox.put(ticket, Queued(position))

    def _admit(self) -> None:
        """Requests get sequences in the order they came, as long as prompt and answer fit beside those that run.

        None passes one that lacks room, or that would wait for ever; one that waits for a common beginning is passed.
        """
        place = 0
        while place < len(self._queue) and self._slots.free():
            ticket = self._queue[place]
            if self._beginning_is_being_read(ticket):
                place += 1
                continue
            if self._running and self._cells_wanted(ticket) > self._cells_left():
                return
            self._outbox.send()  # to bring back what was read before may take longer than a decode
            with self._changed:
                alone = not self._running and len(self._queue) == 1
                del self._queue[place]
                self._tell_positions()
            self._start(ticket, reproducible=alone and ticket.request.options.seed is not None)

    def _beginning_is_being_read(self, ticket: Ticket) -> bool:
        prompt = ticket.request.prompt
        readers = [running.ticket.request for running in self._running if running.reading]
        soon = max((common_prefix(prompt, other.prompt) for other in readers if not other.scores_prompt), default=0)
        return soon > SHARED_TOKENS and soon > self._slots.cached(prompt) + SHARED_TOKENS

    def _cells_wanted(self, ticket: Ticket) -> int:
        request = ticket.request
        shared = 0 if request.scores_prompt else self._slots.shared_with_busy(request.prompt)
        return len(request.prompt) - shared + request.max_tokens

    def _cells_left(self) -> int:
        """Cells that neither hold nor will hold a running request's tokens."""
        to_come = sum(
            len(running.waiting) + running.ticket.request.max_tokens - len(running.written) for running in self._running
        )
        return self._context.n_ctx - SMALL_ROWS - self._slots.busy_cells() - to_come

    def _start(self, ticket: Ticket, *, reproducible: bool) -> None:
        request = ticket.request
        try:
            if reproducible:
                slot = self._slots.take_alone()
            else:
                slot = self._slots.take_empty() if request.scores_prompt else self._slots.take(request.prompt)
        except BaseException as error:
            self._outbox.put(
                ticket,
                Failed(RuntimeFailure(f"the request could not be begun ({type(error).__name__}); send it again")),
            )
            if not isinstance(error, RuntimeFailure):
                raise
            return
        attribution = None if self._monitor is None else self._monitor.attribution
        account = None if attribution is None else attribution.open_account()
        running = Running.start(ticket, slot, account, reproducible=reproducible)
        self._running.append(running)
        self._outbox.put(ticket, running.progress())

    def _step(self) -> None:
        """One decode for all."""
        limit_s = ALONE_LIMIT_S if len(self._running) + len(self._queue) == 1 else STEP_LIMIT_S
        parts, padding = next_parts(
            self._running, self._costs, limit_s=limit_s / self._slowness, most=self._context.n_batch
        )
        if self._monitor is None:
            self._compute(parts, padding)
            return
        with self._monitor.step(lambda: [(running.account, len(tokens)) for running, tokens in parts]):
            self._compute(parts, padding)

    def _compute(self, parts: Sequence[Part], padding: int) -> None:
        """Decode; where that fails, each part by itself, so that only those fail that must."""
        self._slots.make_room(sum(len(tokens) for _, tokens in parts) + padding)
        try:
            rows = self._decode(parts, padding)
        except RuntimeFailure as error:
            self._settle(parts)
            if isinstance(error, DecodeAborted):
                self._aborted_steps += 1
                self._redoing = len(parts) > 1
                return
            if len(parts) == 1:
                self._leave(parts[0][0], Failed(error))
                return
            for part in parts:
                self._compute([part], 0)
            return
        for (running, tokens), row in zip(parts, rows, strict=True):
            self._take(running, tokens, row)

    def _settle(self, parts: Sequence[Part]) -> None:
        """Keep what a decode that failed had finished; with several requests in it, that is told of none."""
        for running, tokens in parts:
            keeps = len(parts) == 1 and running.reading and not running.scoring
            finished = self._slots.settle(running.slot, tokens if keeps else ())
            del running.waiting[:finished]

    def _decode(self, parts: Sequence[Part], padding: int) -> list[list[int]]:
        """One decode; for each part the rows that have logits."""
        self._batch.clear()
        rows = [self._add(running, tokens) for running, tokens in parts]
        spare = self._context.n_seq_max - 1
        for position in range(padding):
            self._batch.add(0, position, [spare], True)
        self._outbox.send()
        with self._changed:
            if self._closing or any(running.ticket.cancelled for running, _ in parts):
                raise DecodeAborted("a request was cancelled before its step")
            self._decoding = tuple(running.ticket for running, _ in parts)
            started = time.perf_counter()
            self._step_ends_at = started + self._costs.of(len(self._batch)) * self._slowness
        reproducible, is_small = is_reproducible(self._running), len(self._batch) <= SMALL_ROWS
        threads = self._pace.threads if is_small else self._pace.settled
        self._context.set_threads(self._first_threads if reproducible else threads)
        try:
            self._context.decode(self._batch)
            self._observe(len(self._batch), time.perf_counter() - started, by_pace=is_small and not reproducible)
        finally:
            with self._changed:
                self._decoding = ()
                self._context.reset_abort()
            if padding:
                self._context.seq_rm(spare)
        return rows

    def _add(self, running: Running, tokens: Sequence[int]) -> list[int]:
        start, whole = len(running.slot.tokens), len(tokens) >= len(running.waiting)
        first = 0 if running.scoring else len(running.waiting) - 1 if whole else len(tokens)
        added = [
            self._batch.add(token, start + place, [running.slot.seq], place >= first)
            for place, token in enumerate(tokens)
        ]
        return added[first:]

    def _observe(self, rows: int, elapsed_s: float, *, by_pace: bool) -> None:
        self._steps += 1
        self._redoing = False
        ratio = elapsed_s / self._costs.of(rows)
        change = min(ratio, _MOST_RATIO) - self._slowness
        self._slowness = max(0.5, self._slowness + (_LEARNING_SLOWER if change > 0 else _LEARNING_FASTER) * change)
        if by_pace:
            self._pace.observe(ratio)

    def _take(self, running: Running, tokens: Sequence[int], rows: Sequence[int]) -> None:
        """What a decode gave one request."""
        self._slots.grow(running.slot, tokens)
        if running.reading:
            rows = self._take_prompt(running, tokens, rows)
        if not rows:
            return
        drafts = list(tokens[len(tokens) - len(rows) + 1 :])
        try:
            piece, reason = running.choose(self._context, rows, drafts)
        except RuntimeFailure as error:  # a schema that cannot be kept to
            self._leave(running, Failed(error))
            return
        if drafts:
            wrong = len(drafts) - common_prefix(drafts, piece.tokens)
            self._slots.cut(running.slot, len(running.slot.tokens) - wrong)
        if piece.tokens or piece.logprobs:
            self._outbox.put(running.ticket, piece)
        if reason is None and len(running.slot.tokens) >= self.room:
            reason = "context"
        if reason is not None:
            self._finish(running, reason)

    def _take_prompt(self, running: Running, tokens: Sequence[int], rows: Sequence[int]) -> Sequence[int]:
        """The row that the answer's first token is chosen from, where the prompt is read and an answer wanted."""
        if running.scoring:
            running.score(self._context, rows)
        del running.waiting[: len(tokens)]
        running.read_at = time.monotonic()
        self._outbox.put(running.ticket, running.progress())
        if running.waiting:
            return ()
        if self._kept is not None:
            with suppress(RuntimeFailure, MemoryError, RuntimeError):  # the last: no thread to write with
                self._slots.keep_beginnings(running.slot, self._kept)
        if running.scoring:
            self._outbox.put(running.ticket, PromptScores(tuple(running.scores)))
        if not running.ticket.request.max_tokens:
            self._finish(running, "length")
            return ()
        return rows[-1:]

    def _finish(self, running: Running, reason: FinishReason) -> None:
        if text := running.output.finish():
            self._outbox.put(running.ticket, Piece((), text))
        self._leave(running, running.finish(reason))

    def _leave(self, running: Running, event: Event) -> None:
        self._running.remove(running)
        running.sampler.close()
        self._slots.release(running.slot)
        self._outbox.put(running.ticket, event)

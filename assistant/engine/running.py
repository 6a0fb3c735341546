"""A request that has a sequence: what it decodes next, and what it makes of the rows it gets."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assistant.engine.drafts import Acceptance, PromptLookup
from assistant.engine.repetition import repeats
from assistant.engine.request import Finished, FinishReason, Piece, Reading, Ticket, TokenLogprob
from assistant.engine.slots import Slot
from assistant.engine.states import common_prefix
from assistant.engine.text_output import TextOutput
from device.attribution import Account
from models.runtime.context import Context
from models.runtime.sampler import Sampler


@dataclass(eq=False)
class Running:
    """`waiting` is what it decodes next: the rest of its prompt, later the token that it chose last."""

    ticket: Ticket
    slot: Slot
    cached: int
    waiting: list[int]
    output: TextOutput
    sampler: Sampler
    lookup: PromptLookup | None
    reproducible: bool = False
    """Whether it is computed, as long as it is alone, in the same way each time: nothing reused, nothing drafted."""
    account: Account | None = None
    """What it costs is booked there, where a meter is read."""
    started_at: float = field(default_factory=time.monotonic)
    read_at: float = field(default_factory=time.monotonic)
    """When the last piece of its prompt was read."""
    acceptance: Acceptance = field(default_factory=Acceptance)
    proposed: list[int] = field(default_factory=list)
    """What lookup proposes to come after `waiting`, of which a step computes a part or nothing."""
    scores: list[TokenLogprob] = field(default_factory=list)
    """Of the prompt's tokens but the first, where they are asked for."""
    written: list[int] = field(default_factory=list)
    drafted: int = 0
    accepted: int = 0
    first_at: float | None = None
    last_at: float = 0.0
    """When its last token was chosen."""

    @classmethod
    def start(
        cls, ticket: Ticket, slot: Slot, account: Account | None = None, *, reproducible: bool = False
    ) -> "Running":
        """The request on a sequence that holds the first part of its prompt."""
        request = ticket.request
        return cls(
            ticket,
            slot,
            cached=len(slot.tokens),
            waiting=list(request.prompt[len(slot.tokens) :]),
            output=TextOutput(request.stop),
            sampler=Sampler(request.options),
            lookup=PromptLookup(request.prompt) if request.drafting else None,
            reproducible=reproducible,
            account=account,
        )

    @property
    def reading(self) -> bool:
        """Whether its prompt is not read to the end."""
        return not self.written

    @property
    def scoring(self) -> bool:
        """Whether the prompt's rows are wanted, too, and still being computed."""
        return self.ticket.request.scores_prompt and self.reading

    def progress(self) -> Reading:
        """How far the prompt is read."""
        return Reading(len(self.slot.tokens), len(self.ticket.request.prompt), self.cached)

    def score(self, context: Context, rows: Sequence[int]) -> None:
        """Take the prompt's next tokens' probabilities from the rows before them; the last row has none to give."""
        prompt, count = self.ticket.request.prompt, self.ticket.request.logprobs or 0
        for row in rows:
            if (place := len(self.scores) + 1) < len(prompt):
                self.scores.append(token_logprob(context.logits(row), prompt[place], count))

    def gains(self) -> list[float]:
        """What each further proposed token is expected to add to the next step."""
        return self.acceptance.gains(len(self.proposed))

    def choose(self, context: Context, rows: Sequence[int], drafts: Sequence[int]) -> tuple[Piece, FinishReason | None]:
        """Sample the rows as long as each drafted token is the very token that the model chooses.

        Row i follows drafts[:i]. Each row is sampled as if it had been computed alone, which keeps the distribution.
        """
        tokens: list[int] = []
        texts: list[str] = []
        logprobs: list[TokenLogprob] = []
        reason: FinishReason | None = None
        for place, row in enumerate(rows):
            token = self._sample(context, row, logprobs)
            if context.model.is_end(token):
                reason = "stop"
                break
            tokens.append(token)
            texts.append(self.output.push(context.model.token_bytes(token)))
            self.written.append(token)
            reason = self._reason_to_end()
            if reason or drafts[place : place + 1] != [token]:
                break
        self._learn(tokens, drafts)
        return Piece(tuple(tokens), "".join(texts), tuple(logprobs)), reason

    def _sample(self, context: Context, row: int, logprobs: list[TokenLogprob]) -> int:
        """The row's token; its probability, where asked for, is the model's own, before any schema or option."""
        request = self.ticket.request
        logits = None if request.logprobs is None else context.logits(row)
        if request.schema is not None:
            request.schema.mask(context.logits_in_place(row))
        token = self.sampler.sample(context, row)
        if logits is not None:
            logprobs.append(token_logprob(logits, token, request.logprobs or 0))
        if request.schema is not None and not context.model.is_end(token):
            request.schema.accept(token)
        return token

    def _reason_to_end(self) -> FinishReason | None:
        request = self.ticket.request
        if self.output.stopped:
            return "stop"
        if request.ends_repetition and repeats(self.written):
            return "repetition"
        return "length" if len(self.written) >= request.max_tokens else None

    def _learn(self, tokens: Sequence[int], drafts: Sequence[int]) -> None:
        now = time.monotonic()
        if self.first_at is None:
            self.first_at = self.last_at = now
        elif tokens:  # the end token is none of the answer's
            self.last_at = now
        computed = drafts or self.proposed[:1]  # what was not computed shows by the token in its place
        right = common_prefix(computed, tokens)
        self.acceptance.learn(len(computed), right)
        self.drafted += len(drafts)
        self.accepted += min(right, len(drafts))
        if self.lookup is not None:
            self.lookup.extend(tokens)
            self.proposed = self.lookup.propose()
        self.waiting = list(tokens[-1:])

    def finish(self, reason: FinishReason) -> Finished:
        """The counts and times at the end."""
        request = self.ticket.request
        return Finished(
            reason,
            prompt_tokens=len(request.prompt),
            cached_tokens=self.cached,
            completion_tokens=len(self.written),
            queued_s=self.started_at - self.ticket.submitted_at,
            first_token_s=None if self.first_at is None else self.first_at - self.started_at,
            decode_s=None if self.first_at is None else self.last_at - self.first_at,
            drafted_tokens=self.drafted,
            accepted_tokens=self.accepted,
            started_at=self.started_at,
            prompt_s=None if self.waiting and self.reading else (self.first_at or self.read_at) - self.started_at,
            account=self.account,
        )


def token_logprob(logits: NDArray[np.float32], token: int, count: int) -> TokenLogprob:
    """The token's natural log probability, and the `count` likeliest tokens with theirs, likeliest first."""
    peak = float(logits.max())
    whole = peak + math.log(float(np.exp(logits - np.float32(peak)).sum(dtype=np.float64)))
    count = min(count, len(logits))
    top = np.argpartition(logits, -count)[-count:] if count else np.empty(0, dtype=np.int64)
    ranked = sorted(top.tolist(), key=lambda index: (-logits[index], index))
    return TokenLogprob(
        token, float(logits[token]) - whole, tuple((each, float(logits[each]) - whole) for each in ranked)
    )

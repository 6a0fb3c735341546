"""What is asked of the engine, and what it tells while it works."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from device.attribution import Account
from models.runtime.sampler import SamplingOptions
from models.runtime.schema import SchemaMatcher

FinishReason = Literal["stop", "length", "context", "repetition", "cancelled", "deadline"]
"""`context`: no room for another token; `repetition`: the answer turned in a circle; the others are what they say."""


@dataclass(frozen=True)
class Request:
    """One sequence to continue. The prompt has a token at least; `max_tokens` is 1 or more, 0 to score the prompt only."""

    prompt: tuple[int, ...]
    max_tokens: int
    options: SamplingOptions = field(default_factory=SamplingOptions)
    stop: tuple[str, ...] = ()
    schema: SchemaMatcher | None = None
    """Keeps the answer to a JSON schema; good for this one request."""
    ends_repetition: bool = False
    """Whether an answer that turns in a circle is ended."""
    drafting: bool = True
    logprobs: int | None = None
    """So many of the likeliest tokens are told with each token, 0 for its own probability only."""
    scores_prompt: bool = False
    """Whether the prompt's own tokens are scored, too, with `logprobs` of the likeliest; nothing is reused then."""
    deadline_s: float | None = None
    """Seconds from submission after which it ends, whatever it has then."""


@dataclass(frozen=True)
class Queued:
    """It waits: so many are before it."""

    position: int


@dataclass(frozen=True)
class Reading:
    """Prompt tokens that are in the cache now; `cached` of them were there before."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True)
class TokenLogprob:
    """A chosen token with its natural log probability under the model, and the likeliest ones with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class PromptScores:
    """Each token of the prompt but the first, given those before it."""

    logprobs: tuple[TokenLogprob, ...]


@dataclass(frozen=True)
class Piece:
    """Tokens that came together, and the text they make certain (perhaps none); with `logprobs` the end token's is the last."""

    tokens: tuple[int, ...]
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Finished:
    """The end, with its counts, and its times in seconds; None where it never came to that."""

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queued_s: float
    first_token_s: float | None
    """From the start of the prompt's processing to the first token."""
    decode_s: float | None
    """From the first token to the last."""
    drafted_tokens: int
    accepted_tokens: int
    started_at: float | None = None
    """When the prompt's processing began, monotonic."""
    prompt_s: float | None = None
    """From then to the first token or, of a prompt that is only scored, to its last row."""
    account: Account | None = None
    """What it cost, once that is settled; None where no meter was read when it began, or it never did."""


@dataclass(frozen=True)
class Failed:
    """It could not be carried out."""

    error: Exception


Event = Queued | Reading | PromptScores | Piece | Finished | Failed
Listener = Callable[[Event], None]
"""Called in the engine's thread: it must return at once and not raise."""

_numbers = itertools.count(1)


@dataclass(eq=False)
class Ticket:
    """A submitted request."""

    request: Request
    listener: Listener
    number: int = field(default_factory=lambda: next(_numbers))
    submitted_at: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    def unwanted(self, now: float) -> FinishReason | None:
        """Why it should end now, if it should."""
        if self.cancelled:
            return "cancelled"
        limit_s = self.request.deadline_s
        return "deadline" if limit_s is not None and now - self.submitted_at > limit_s else None

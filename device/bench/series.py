"""What one run measured, before anything is worked out from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from device.energy import Window
from device.trace import Trace
from models.runtime.generate import FinishReason
from models.runtime.speed import AnswerTimes

PhaseName = Literal["board idle", "load", "idle before", "warm-up", "prefill", "decode", "rest", "idle after"]


class Phase(NamedTuple):
    """What the machine did from one moment to another."""

    name: PhaseName
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Task:
    """A prompt, and how many tokens answer it: exactly where it has no question, else at most."""

    prompt: tuple[int, ...]
    tokens: int
    question: str | None = None


@dataclass(frozen=True)
class Answer:
    """One answer that was measured from start to end."""

    task: Task
    tokens: int
    """Of the answer; the first of them comes from the prompt."""
    times: AnswerTimes
    finish: FinishReason
    sampled: bool = False
    """Whether a power meter was read meanwhile."""

    @property
    def window(self) -> Window:
        """From the start of the prompt to the last token."""
        return Window(self.times.start_s, self.times.end_s)

    @property
    def answer_s(self) -> float:
        """Prompt and all tokens."""
        return self.times.end_s - self.times.start_s

    @property
    def prompt_tokens_per_s(self) -> float:
        """Prompt tokens read in a second."""
        return len(self.task.prompt) / self.times.prompt_s

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Tokens after the first over the time that they took; None for an answer of one token."""
        return (self.tokens - 1) / self.times.decode_s if self.tokens > 1 else None

    @property
    def tokens_per_s(self) -> float:
        """Tokens of the answer over all of its time: what watts are set against."""
        return self.tokens / self.answer_s


@dataclass(frozen=True)
class Series:
    """All phases and answers in order, and what the meter said; the trace is None where there is no meter."""

    phases: tuple[Phase, ...]
    answers: tuple[Answer, ...]
    trace: Trace | None
    interrupted: bool
    """By the user."""

    @property
    def complete(self) -> bool:
        """All that was to be measured was: nobody interrupted it, and the meter did not go away."""
        return not self.interrupted and (self.trace is None or self.trace.ended is None)

    def window(self, name: PhaseName) -> Window | None:
        """The first phase of that name; None where it did not happen."""
        found = next((phase for phase in self.phases if phase.name == name), None)
        return None if found is None else Window(found.start_s, found.end_s)

    @property
    def measured(self) -> tuple[Answer, ...]:
        """The answers that count: those whose power was sampled, all where there is no meter."""
        return self.answers if self.trace is None else tuple(answer for answer in self.answers if answer.sampled)

    @property
    def start_s(self) -> float:
        """Where the clock of its files begins."""
        return self.phases[0].start_s if self.phases else 0.0


def phase_at(phases: Iterable[Phase], time_s: float) -> PhaseName | None:
    """What the machine did at a moment; None between phases."""
    return next((phase.name for phase in phases if phase.start_s <= time_s < phase.end_s), None)

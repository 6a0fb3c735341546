"""What is measured: how many answers, how long, between which idle phases."""

from dataclasses import dataclass

PROMPT_TOKENS = 128
ANSWERS = 6
IDLE_S = 60.0
MIN_ANSWERS = 5
LONG_S = 10.0
"""An answer that takes less is repeated until all of them take `least_s`."""
ROOM_TOKENS = 2048
"""Tokens of context for an answer where the user names no context."""
LENGTHS = (256, 512, 1024, 2048)
"""Tokens of an answer where the user names no number: few sizes, so that two runs choose the same one."""


@dataclass(frozen=True)
class Settings:
    """Of one run; all counts are tokens."""

    answers: int = ANSWERS
    """At least so many with sampling, and as many without where there is a meter."""
    prompt_tokens: int = PROMPT_TOKENS
    tokens: int | None = None
    """Of an answer; None takes the smallest of LENGTHS that lasts LONG_S, or the largest that fits the context."""
    idle_s: float = IDLE_S
    threads: int | None = None
    """None takes a thread for each physical core."""
    context: int | None = None
    natural: bool = False
    """Fixed questions answered to their own end, in place of a fixed prompt and length."""
    settle_s: float = 5.0
    """Waited before each idle phase: after loading, and after the last answer."""
    least_s: float = 60.0
    """All sampled answers together take at least so long."""


def choose_length(seconds_per_token: float, prompt_s: float, room: int) -> int:
    """Tokens of an answer that lasts LONG_S where the context has the room; `room` where that is less than any length."""
    fitting = [length for length in LENGTHS if length <= room] or [room]
    long = [length for length in fitting if prompt_s + length * seconds_per_token >= LONG_S]
    return long[0] if long else fitting[-1]

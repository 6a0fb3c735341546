"""Tells when a model has begun to turn in a circle, so that the answer can be ended there."""

from collections.abc import Sequence

_LONGEST_PERIOD_TOKENS = 48
_ROUNDS = 3
_LONGEST_RUN_TOKENS = 16


def repeats(tokens: Sequence[int]) -> bool:
    """Whether `tokens` end in one stretch of 2 to 48 tokens three times in a row, or in one token sixteen times.

    Three rounds, as two occur in honest prose; more for a single token, as dots and spaces may run on.
    """
    if len(tokens) >= _LONGEST_RUN_TOKENS and len(set(tokens[-_LONGEST_RUN_TOKENS:])) == 1:
        return True
    for period in range(2, min(_LONGEST_PERIOD_TOKENS, len(tokens) // _ROUNDS) + 1):
        tail = tokens[-_ROUNDS * period :]
        if all(tail[i] == tail[i - period] for i in range(period, len(tail))) and len(set(tail[:period])) > 1:
            return True
    return False

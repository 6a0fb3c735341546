"""Tells when a model has begun to turn in a circle, so that the answer can be ended there."""

from collections.abc import Sequence

_LONGEST_PERIOD_TOKENS = 48
_ROUNDS = 3


def repeats(tokens: Sequence[int]) -> bool:
    """Whether the end of `tokens` is one stretch of 2 to 48 tokens, three times in a row.

    Three rounds, as two occur in honest prose; a single token is left out, as dots and spaces may run on.
    """
    for period in range(2, min(_LONGEST_PERIOD_TOKENS, len(tokens) // _ROUNDS) + 1):
        tail = tokens[-_ROUNDS * period :]
        if all(tail[i] == tail[i - period] for i in range(period, len(tail))) and len(set(tail[:period])) > 1:
            return True
    return False

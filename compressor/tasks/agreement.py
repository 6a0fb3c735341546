"""Whether two implementations of one model choose alike, wherever their scores are precise enough to say."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Two lists of scores side by side. An item is decided where its best two choices, in either list, lie further apart than
    twice the largest difference between the lists: rounding cannot have swapped them."""

    items: int
    largest_difference: float
    """Nats."""
    decided: int
    decided_alike: int
    close_alike: int


def compare_scores(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Agreement:
    """Scores of the same items and choices by two implementations. Raises ValueError where the items differ."""
    pairs = list(zip(first, second, strict=True))
    largest = max((abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)), default=0.0)
    decided = [min(_gap(one), _gap(other)) > 2 * largest for one, other in pairs]
    alike = [_best(one) == _best(other) for one, other in pairs]
    return Agreement(
        items=len(pairs),
        largest_difference=largest,
        decided=sum(decided),
        decided_alike=sum(same for same, clear in zip(alike, decided, strict=True) if clear),
        close_alike=sum(same for same, clear in zip(alike, decided, strict=True) if not clear),
    )


def _gap(scores: Sequence[float]) -> float:
    best, second = sorted(scores, reverse=True)[:2]
    return best - second


def _best(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=lambda index: scores[index])

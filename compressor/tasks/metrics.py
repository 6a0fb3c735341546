"""Counting right and wrong: classes, averages, intervals and a paired test, each by its textbook formula."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""
RESAMPLES = 1000
Matrix = npt.NDArray[np.int64]


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95% interval of a share by Wilson's score (J. Am. Stat. Assoc. 22, 1927); (0, 1) where nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = correct / total, Z_95 * Z_95
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return (0.0 if correct == 0 else middle - half), (1.0 if correct == total else middle + half)


def mcnemar_p(fixed: int, broken: int) -> float:
    """Two-sided exact McNemar test on the items that two models answer differently (binomial with a half)."""
    differing = fixed + broken
    tail = sum(math.comb(differing, count) for count in range(min(fixed, broken) + 1))
    return min(1.0, 2 * tail / (1 << differing))


def confusion_matrix(gold: Sequence[int], chosen: Sequence[int | None], classes: int) -> Matrix:
    """Counts (classes, classes + 1): rows are gold, columns what was chosen, the last column no usable answer."""
    matrix = np.zeros((classes, classes + 1), np.int64)
    for right, said in zip(gold, chosen, strict=True):
        matrix[right, classes if said is None else said] += 1
    return matrix


@dataclass(frozen=True)
class ClassScore:
    """One class; a ratio with nothing to divide by is 0, as scikit-learn's zero_division=0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    chosen: int
    """How often it was answered."""


@dataclass(frozen=True)
class Averages:
    """Means over classes."""

    precision: float
    recall: float
    f1: float


def class_scores(matrix: Matrix, labels: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of each class that a confusion matrix counts."""
    scores = []
    for index, label in enumerate(labels):
        hits, support, said = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
        f1 = _ratio(2 * hits, support + said)
        scores.append(ClassScore(label, _ratio(hits, said), _ratio(hits, support), f1, support, said))
    return scores


def macro(scores: Sequence[ClassScore]) -> Averages:
    """The plain mean over the classes that occur, in gold or in answers."""
    present = [score for score in scores if score.support or score.chosen]
    return _averages(present, [1] * len(present))


def weighted(scores: Sequence[ClassScore]) -> Averages:
    """The mean weighed by support (the second paper's)."""
    return _averages(scores, [score.support for score in scores])


def majority_matrix(matrix: Matrix) -> Matrix:
    """The confusion matrix of a constant answer: the most frequent class."""
    support = matrix.sum(axis=1)
    constant = np.zeros_like(matrix)
    constant[:, int(support.argmax())] = support
    return constant


def accuracy(matrix: Matrix) -> float:
    """Share of items on the diagonal."""
    return _ratio(int(np.trace(matrix)), int(matrix.sum()))


def bootstrap_interval(
    gold: Sequence[int], chosen: Sequence[int | None], classes: int, statistic: Callable[[Matrix], float], seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of a statistic of the confusion matrix, over items drawn with replacement."""
    chance = np.random.default_rng(seed)
    matrix = confusion_matrix(gold, chosen, classes)
    total = int(matrix.sum())
    if total == 0:
        return 0.0, 1.0
    # Drawing items with replacement is drawing cells of the matrix from a multinomial.
    draws = chance.multinomial(total, (matrix / total).ravel(), RESAMPLES)
    values = [statistic(draw.reshape(matrix.shape)) for draw in draws]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired_ratio(ours: Sequence[bool], theirs: Sequence[bool], seed: int = 0) -> tuple[float, float, float] | None:
    """How often `ours` is true to how often `theirs` is on the same items, with its 95% percentile interval over items drawn
    with replacement, those draws left out in which `theirs` is never true; None where it is true of no item."""
    pairs = list(zip(ours, theirs, strict=True))
    if not any(theirs):
        return None
    kinds = ((True, True), (True, False), (False, True), (False, False))
    counts = np.array([pairs.count(kind) for kind in kinds], np.int64)
    # Drawing items with replacement is drawing the four kinds of pairs from a multinomial.
    draws = np.random.default_rng(seed).multinomial(len(pairs), counts / len(pairs), RESAMPLES)
    hits, base = draws[:, 0] + draws[:, 1], draws[:, 0] + draws[:, 2]
    low, high = np.percentile(hits[base > 0] / base[base > 0], [2.5, 97.5])
    return sum(ours) / sum(theirs), float(low), float(high)


def _averages(scores: Sequence[ClassScore], weights: Sequence[int]) -> Averages:
    total = sum(weights)

    def mean(values: Sequence[float]) -> float:
        return sum(value * weight for value, weight in zip(values, weights, strict=True)) / total if total else 0.0

    return Averages(mean([s.precision for s in scores]), mean([s.recall for s in scores]), mean([s.f1 for s in scores]))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

"""Loss rises over documents, with paired bootstrap intervals.

Δ = ln PPL − ln PPL of dense, both token-weighted over the same documents, averaged over seeds. One draw resamples the
documents and is used for every model, so that differences and ratios of two models are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
CONFIDENCE = 0.95
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Documents:
    """Documents of one text: the dense model's nats per document and the scored tokens, both (documents,)."""

    dense: Numbers
    tokens: Numbers


def draw_weights(documents: int, seed: int = 0) -> Numbers:
    """How often each draw takes each document, (1 + DRAWS, documents); row 0 takes each once."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(documents, np.full(documents, 1 / documents), size=DRAWS)
    return np.concatenate((np.ones((1, documents)), drawn.astype(np.float64)))


def rises(documents: Documents, nats: Sequence[Numbers], weights: Numbers) -> Numbers:
    """Δ of each draw, (draws,), averaged over the seeds' nats per document."""
    extra = np.mean([values - documents.dense for values in nats], axis=0)
    rise: Numbers = (weights @ extra) / (weights @ documents.tokens)
    return rise


def estimate(draws: Numbers) -> Estimate:
    """The value (draw 0) and the percentile interval of the others."""
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws[1:], (edge, 1 - edge))
    return Estimate(float(draws[0]), float(low), float(high))


def ratio(ours: Numbers, theirs: Numbers) -> Estimate | None:
    """Δ of ours over Δ of theirs with a paired interval; None where theirs is not clearly above zero."""
    if bool((theirs <= 0).mean() > (1 - CONFIDENCE) / 2) or theirs[0] <= 0:
        return None
    return estimate(ours / np.maximum(theirs, np.finfo(np.float64).tiny))

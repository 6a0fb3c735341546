"""From finished cells to the numbers of the tables: loss rises with intervals, and the verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from compressor.compare.bootstrap import Documents, Estimate, Numbers, draw_weights, estimate, ratio, rises
from compressor.compare.cell import Cell, Measured, Method, dense_cell
from compressor.compare.texts import HeldOut

BEST_PUBLISHED_GOAL = 0.4
TYR_GOAL = 0.8
GOALS_FROM_SHARE = 0.5
HEALED_GOALS = {0.5: 1.6, 0.67: 2.0}
"""Share to the most that healed perplexity may be, as a multiple of the dense model's healed alike: the papers' ratios."""


@dataclass(frozen=True)
class Column:
    """One text of the tables, or the part of it that does or does not share a passage with training text."""

    name: str
    """A text's name, a file's without folder and suffix; " unseen" or " seen" after it for a part."""
    text: str
    documents: tuple[int, ...]


def columns_of(held_out: Mapping[str, HeldOut]) -> list[Column]:
    """Every text, followed by its unseen and seen documents where it has both."""
    columns = []
    for text, held in held_out.items():
        everything = tuple(range(len(held.rows)))
        short = Path(text).stem.replace(" ", "-")
        columns.append(Column(short, text, everything))
        if any(held.overlaps) and not all(held.overlaps):
            for name, seen in (("unseen", False), ("seen", True)):
                part = tuple(index for index in everything if held.overlaps[index] is seen)
                columns.append(Column(f"{short} {name}", text, part))
    return columns


class Scores:
    """Finished cells of one comparison against its dense model, column by column."""

    def __init__(self, columns: Sequence[Column], finished: Mapping[Cell, Measured]) -> None:
        self.columns = {column.name: column for column in columns}
        self.finished = finished
        self._weights: dict[str, Numbers] = {}

    def seeds(self, method: Method, share: float) -> list[int]:
        """Seeds at which the method's cell is finished."""
        return sorted(cell.seed for cell in self.finished if cell.method == method and cell.share == share)

    def draws(self, method: Method, share: float, column: str, seeds: Iterable[int]) -> Numbers:
        """Δ of every bootstrap draw, averaged over `seeds`; the same draw is the same documents for all methods."""
        nats = [self._nats(method.at(share, seed), column)[0] for seed in seeds]
        return rises(self._documents(column), nats, self._weights_of(column))

    def rise(self, cell: Cell, column: str) -> float:
        """Δ of one cell."""
        documents = self._documents(column)
        nats, _ = self._nats(cell, column)
        return float((nats - documents.dense).sum() / documents.tokens.sum())

    def perplexity(self, cell: Cell, column: str) -> float:
        """Perplexity per token of one cell."""
        nats, tokens = self._nats(cell, column)
        return exp(float(nats.sum() / tokens.sum()))

    def removed(self, share: float) -> float:
        """The share of the FFN neurons that is gone where `share` was asked for: widths come in blocks."""
        dense = sum(self.finished[dense_cell()].widths)
        # SliceGPT's cells keep all neurons and prune the hidden size.
        pruned = (
            found for cell, found in self.finished.items() if cell.share == share and cell.criterion != "slicegpt"
        )
        widths = next((found.widths for found in pruned), None)
        return share if widths is None else 1 - sum(widths) / dense

    def _documents(self, column: str) -> Documents:
        return Documents(*self._nats(dense_cell(), column))

    def _nats(self, cell: Cell, column: str) -> tuple[Numbers, Numbers]:
        part = self.columns[column]
        rows = np.array(self.finished[cell].losses[part.text], dtype=np.float64)[list(part.documents)]
        return rows[:, 0], rows[:, 1]

    def _weights_of(self, column: str) -> Numbers:
        if column not in self._weights:
            self._weights[column] = draw_weights(len(self.columns[column].documents))
        return self._weights[column]


def table_row(scores: Scores, method: Method, share: float) -> dict[str, Any] | None:
    """One row of a table as plain values; None where no seed is finished."""
    seeds = scores.seeds(method, share)
    if not seeds:
        return None
    cells = [scores.finished[method.at(share, seed)] for seed in seeds]
    texts = {}
    for column in scores.columns:
        each = [scores.rise(measured.cell, column) for measured in cells]
        texts[column] = {
            "perplexity": float(np.exp(np.mean([np.log(scores.perplexity(item.cell, column)) for item in cells]))),
            "rise": asdict(estimate(scores.draws(method, share, column, seeds))),
            "rise_by_seed": each,
        }
    return {
        "method": method.label,
        "share": share,
        "removed": scores.removed(share),
        "seeds": seeds,
        "parameters": round(float(np.mean([measured.parameters for measured in cells]))),
        "tuning_loss": float(np.mean([measured.tuning_loss for measured in cells])),
        "wall_s": round(float(np.mean([measured.wall_s for measured in cells])), 1),
        "texts": texts,
    }


@dataclass(frozen=True)
class Verdict:
    """Ours against another method at one rate on one text, over the seeds that both have."""

    share: float
    """As it was asked for."""
    removed: float
    """As it is."""
    column: str
    ours: str
    other: str
    rise: Estimate
    other_rise: Estimate
    difference: Estimate
    ratio: Estimate | None
    """None where the other's rise is not clearly above zero."""
    goal: float | None
    """The most that the ratio may be; None where the task sets no goal."""

    @property
    def met(self) -> bool | None:
        """Whether the ratio's value is within the goal."""
        return None if self.ratio is None or self.goal is None else self.ratio.value <= self.goal


def compare_methods(
    scores: Scores, ours: Method, other: Method, *, share: float, column: str, goal: float | None
) -> Verdict | None:
    """Paired over documents and seeds; None where they have no seed in common."""
    seeds = sorted(set(scores.seeds(ours, share)) & set(scores.seeds(other, share)))
    if not seeds:
        return None
    own, theirs = (scores.draws(method, share, column, seeds) for method in (ours, other))
    return Verdict(
        share,
        scores.removed(share),
        column,
        ours.label,
        other.label,
        estimate(own),
        estimate(theirs),
        estimate(own - theirs),
        ratio(own, theirs),
        goal,
    )


def best_of(scores: Scores, methods: Iterable[Method], share: float, column: str) -> Method | None:
    """The method with the lowest mean rise on a text: the hardest one to beat."""
    rated = [
        (float(scores.draws(method, share, column, seeds)[0]), method)
        for method in methods
        if (seeds := scores.seeds(method, share))
    ]
    return min(rated)[1] if rated else None


def verdicts(scores: Scores, ours: Method, published: Sequence[Method], tyr: Method, share: float) -> list[Verdict]:
    """Ours against the best published method without reconstruction, and against Týr's recipe, on every text."""
    found: list[Verdict | None] = []
    bound = share >= GOALS_FROM_SHARE
    for column in scores.columns:
        best = best_of(scores, published, share, column)
        for other, goal in ((best, BEST_PUBLISHED_GOAL), (tyr, TYR_GOAL)):
            if other is not None:
                goal_here = goal if bound else None
                found.append(compare_methods(scores, ours, other, share=share, column=column, goal=goal_here))
    return [verdict for verdict in found if verdict is not None]


@dataclass(frozen=True)
class Standing:
    """Whether ours has the lowest loss rise on one text at one rate, over the seeds of each pair."""

    share: float
    removed: float
    column: str
    below_baselines: bool
    """Below every published method and Týr's recipe, none of which trains weights."""
    below_training: bool | None
    """Below ATP too, which trains weights; None where it is not finished."""


def standing(
    scores: Scores, ours: Method, baselines: Sequence[Method], training: Method, *, share: float, column: str
) -> Standing | None:
    """None where no baseline is finished."""
    pairs = [
        compare_methods(scores, ours, other, share=share, column=column, goal=None) for other in (*baselines, training)
    ]
    below = [None if pair is None else pair.difference.value < 0 for pair in pairs]
    found = [value for value in below[:-1] if value is not None]
    return Standing(share, scores.removed(share), column, all(found), below[-1]) if found else None


@dataclass(frozen=True)
class Healed:
    """A healed model against the dense model healed with the same data and steps, at one rate on one text."""

    share: float
    removed: float
    column: str
    heal: str
    method: str
    """The method that was healed."""
    is_ours: bool
    ratio: float
    """Perplexity over that of the healed dense model."""
    recovered: float | None
    """Share of the loss rise that healing took away: 1 − (rise over healed dense) / (rise without healing); None where there
    was no rise."""
    goal: float | None
    """The most that `ratio` may be for ours."""

    @property
    def met(self) -> bool | None:
        """Whether the ratio is within the goal."""
        return None if self.goal is None else self.ratio <= self.goal


def healings(scores: Scores, method: Method, share: float, seed: int, data: str, *, is_ours: bool) -> list[Healed]:
    """Every text's `Healed`; none where one of the cells is not finished."""
    plain, healed = method.at(share, seed), replace(method, heal=data).at(share, seed)
    dense = dense_cell(data)
    if any(cell not in scores.finished for cell in (plain, healed, dense)):
        return []
    goal = HEALED_GOALS.get(share) if is_ours else None
    found = []
    for column in scores.columns:
        left, rise = scores.rise(healed, column) - scores.rise(dense, column), scores.rise(plain, column)
        recovered = 1 - left / rise if rise > 0 else None
        removed = scores.removed(share)
        found.append(Healed(share, removed, column, data, method.label, is_ours, exp(left), recovered, goal))
    return found

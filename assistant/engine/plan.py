"""What one step computes: a token for each answer, then prompt rows, then drafted tokens, then padding."""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.engine.rows import SMALL_ROWS, RowCosts

TILE_ROWS = 64
"""A prompt alone is read in multiples of these: an 8B shape reads 78 tokens a second so, and 72 in steps of 48 rows."""


@dataclass(frozen=True)
class StepRows:
    """Rows of one step beside one for each answer that is being written."""

    prompt: int
    drafts: tuple[int, ...]
    """Drafted tokens for each of those answers, in their order."""
    padding: int


def plan_rows(
    costs: RowCosts, writing: int, prompt: int, gains: Sequence[Sequence[float]], *, limit_s: float, most: int
) -> StepRows:
    """The rows of the next step.

    `prompt` is how many prompt tokens wait, `gains` for each answer what each further drafted token is expected to add,
    `limit_s` how long a step with prompt tokens may take, `most` the size of a batch.
    """
    rows = 0
    if prompt:
        within = costs.largest_within(limit_s, min(most, writing + prompt)) - writing
        if not writing and within < prompt:
            within = _whole_tiles(costs, within, limit_s, most)
        rows = min(prompt, most - writing, max(within, _fewest(costs, writing)))
    base = writing + rows
    ranked = sorted(
        ((gain, answer, place) for answer, each in enumerate(gains) for place, gain in enumerate(each)),
        key=lambda item: (-item[0], item[1], item[2]),
    )
    size, drafted = _best_size(costs, base, [gain for gain, _, _ in ranked], min(most, SMALL_ROWS))
    chosen = [answer for _, answer, _ in ranked[:drafted]]
    drafts = tuple(chosen.count(answer) for answer in range(writing))
    return StepRows(rows, drafts, size - base - drafted)


def _whole_tiles(costs: RowCosts, within: int, limit_s: float, most: int) -> int:
    """Whole tiles; one at least where it takes no more than twice the limit."""
    if within >= TILE_ROWS:
        return within - within % TILE_ROWS
    return TILE_ROWS if most >= TILE_ROWS and costs.of(TILE_ROWS) <= 2 * limit_s else within


def _fewest(costs: RowCosts, writing: int) -> int:
    """Prompt rows that a step takes at least: those of the cheapest size that has room, so that no prompt starves."""
    return max(costs.cheapest(writing + 1) - writing, 1)


def _best_size(costs: RowCosts, base: int, gains: Sequence[float], most: int) -> tuple[int, int]:
    """The size with most expected tokens a second, and how many drafted tokens it holds."""
    best, best_rate = (base, 0), 0.0
    for size in range(base, max(base, most) + 1):
        drafted = min(size - base, len(gains))
        rate = (base + sum(gains[:drafted])) / costs.of(size)
        if rate > best_rate:
            best, best_rate = (size, drafted), rate
    return best

"""What one step computes: a token for each answer, then prompt rows, then drafted tokens, then padding."""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.engine.rows import SMALL_ROWS, RowCosts

TILE_ROWS = 64
"""A prompt alone is read in multiples of these: an 8B shape reads 78 tokens a second so, and 72 in steps of 48 rows."""
BLOCK_ROWS = 16
"""What kernels work on at once, at most."""
_ABOUT = 0.95


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
        reach = min(most, writing + prompt)
        tiles = 0 if writing else _whole_tiles(costs, reach, limit_s)
        size = tiles or _fastest(costs, writing, reach, limit_s)
        rows = min(prompt, most - writing, max(size - writing, _fewest(costs, writing)))
    base = writing + rows
    ranked = sorted(
        ((gain, answer, place) for answer, each in enumerate(gains) for place, gain in enumerate(each)),
        key=lambda item: (-item[0], item[1], item[2]),
    )
    size, drafted = _best_size(costs, base, [gain for gain, _, _ in ranked], min(most, SMALL_ROWS))
    chosen = [answer for _, answer, _ in ranked[:drafted]]
    drafts = tuple(chosen.count(answer) for answer in range(writing))
    return StepRows(rows, drafts, size - base - drafted)


def _whole_tiles(costs: RowCosts, reach: int, limit_s: float) -> int:
    """All where that is within the limit, else whole tiles; one at least where it takes no more than twice the limit."""
    within = costs.largest_within(limit_s, reach)
    if within == reach:
        return reach
    if within >= TILE_ROWS:
        return within - within % TILE_ROWS
    return TILE_ROWS if reach >= TILE_ROWS and costs.of(TILE_ROWS) <= 2 * limit_s else 0


def _fastest(costs: RowCosts, writing: int, reach: int, limit_s: float) -> int:
    """The size within the limit that reads the prompt fastest, a larger one where it is about as fast; 0 where none is.

    On two x86 cores an 8B shape takes 0.40 s for 15 rows and 0.26 s for 16: the largest size within a limit may be a slow one.
    Sizes between the measured ones are only tried in whole blocks.
    """
    sizes = (*range(writing + 1, min(SMALL_ROWS, reach) + 1), *range(2 * BLOCK_ROWS, reach, BLOCK_ROWS), reach)
    speeds = {size: (size - writing) / costs.of(size) for size in sizes if costs.of(size) <= limit_s}
    best = max(speeds.values(), default=0.0)
    return max((size for size, speed in speeds.items() if speed >= _ABOUT * best), default=0)


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

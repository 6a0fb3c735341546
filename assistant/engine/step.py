"""What the next step computes for whom."""

from collections.abc import Sequence

from assistant.engine.plan import TILE_ROWS, plan_rows
from assistant.engine.readers import Part, in_turn, shared_out
from assistant.engine.rows import SMALL_ROWS, RowCosts
from assistant.engine.running import Running

ALONE_LIMIT_S = 1.25
"""A step that only one prompt is in, and that can be aborted."""


def next_parts(running: Sequence[Running], costs: RowCosts, *, limit_s: float, most: int) -> tuple[list[Part], int]:
    """The tokens of each request that has any in the next step, and how many padding rows come to them.

    `limit_s` is how long a step with prompt tokens may take, `most` the size of a batch. Readers take turns where nobody
    writes: a step of a single request can be aborted.
    """
    writers = [each for each in running if not each.reading]
    readers = [each for each in running if each.reading]
    if not writers:
        readers = in_turn(readers)[:1]
    if is_reproducible(running):
        rows = min(piece_rows(costs), most)
        return [(each, each.waiting[:rows]) for each in running], 0
    plan = plan_rows(
        costs,
        len(writers),
        sum(len(each.waiting) for each in readers),
        [each.gains() for each in writers],
        limit_s=limit_s,
        most=most,
    )
    parts = [
        (each, [*each.waiting, *each.proposed[:drafted]]) for each, drafted in zip(writers, plan.drafts, strict=True)
    ]
    return parts + shared_out(readers, plan.prompt), plan.padding


def is_reproducible(running: Sequence[Running]) -> bool:
    """Whether the step is that of one request which is to be computed as it was the last time.

    Logits of the reference model differ by 0.2 to 0.3 with the threads, with the cells that others hold before its own, and
    with the size of the prompt's pieces (two x86 cores): then the step goes by nothing that was measured meanwhile.
    """
    return len(running) == 1 and running[0].reproducible


def piece_rows(costs: RowCosts) -> int:
    """Prompt tokens in a step that is to be reproducible: as many wherever the server is started on this machine."""
    return TILE_ROWS if costs.of(TILE_ROWS) <= 2 * ALONE_LIMIT_S else SMALL_ROWS

"""Which prompts a step reads, and how much of each."""

import time
from collections.abc import Sequence

from assistant.engine.running import Running

LONGEST_TURN_S = 1.0
"""So long shorter prompts may go before a longer one."""
SCORED_ROWS = 64
"""Prompt tokens that are scored in one step: each has logits for the whole vocabulary."""
Part = tuple[Running, list[int]]
"""A request and what of it a step computes."""


def in_turn(readers: Sequence[Running]) -> list[Running]:
    """The one that is done soonest first, but before it the oldest where it has waited too long for a turn.

    Only the oldest: if all that have waited took turns, all would be done when the last one is.
    """
    ordered = sorted(readers, key=lambda running: len(running.waiting))
    oldest = min(readers, key=lambda running: running.ticket.number, default=None)
    if oldest is not None and time.monotonic() - oldest.read_at > LONGEST_TURN_S:
        ordered.remove(oldest)
        ordered.insert(0, oldest)
    return ordered


def shared_out(readers: Sequence[Running], rows: int) -> list[Part]:
    """Prompt tokens for the readers in turn, all that there is room for: sixteen prompts that were read side by side
    had their first tokens at the same time, when the last of them was read."""
    parts: list[Part] = []
    for running in in_turn(readers):
        share = min(len(running.waiting), rows)
        if running.scoring:
            share = min(share, SCORED_ROWS)
        if share:
            parts.append((running, running.waiting[:share]))
        rows -= share
    return parts

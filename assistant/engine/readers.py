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


def next_reader(readers: Sequence[Running]) -> Running:
    """The one that is done soonest, unless another has waited too long for its turn."""
    waited = min(readers, key=lambda running: running.read_at)
    if time.monotonic() - waited.read_at > LONGEST_TURN_S:
        return waited
    return min(readers, key=lambda running: len(running.waiting))


def shared_out(readers: Sequence[Running], rows: int) -> list[Part]:
    """Prompt tokens for each reader: equal shares, what the shortest do not need to the longer ones."""
    parts: list[Part] = []
    ordered = sorted(readers, key=lambda running: len(running.waiting))
    for place, running in enumerate(ordered):
        share = min(len(running.waiting), rows // (len(ordered) - place))
        if running.scoring:
            share = min(share, SCORED_ROWS)
        if share:
            parts.append((running, running.waiting[:share]))
        rows -= share
    return parts

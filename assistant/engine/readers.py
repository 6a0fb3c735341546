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
    """The one that is done soonest first, but before it whoever has waited too long for a turn."""
    now = time.monotonic()
    return sorted(
        readers,
        key=lambda running: (min(0.0, running.read_at + LONGEST_TURN_S - now), len(running.waiting)),
    )


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

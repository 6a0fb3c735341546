"""Which tokens each sequence of the context holds, and which one a new prompt starts from.

Two sequences may share cells of the cache: what they have in common is computed once. A cell is known here by a number
that it got when its token was decoded, so that the cells in use can be counted without counting shared ones twice.
"""

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from assistant.engine.kept import KeptPrompts
from assistant.engine.states import SHORTEST_TOKENS, SavedState, StateCache, common_prefix
from models.errors import RuntimeFailure
from models.runtime.context import Context

_HARMLESS_CELLS = 256
_KEPT_SHARE = 0.5
"""An idle sequence is continued in place where at least this share of it stays; else it is left as it is, and shared from."""


@dataclass(eq=False)
class Slot:
    """One sequence: its tokens in order, and the number of each one's cell."""

    seq: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    busy: bool = False
    used_at: float = 0.0


class Slots:
    """The sequences of one context but for its last, which is kept for padding."""

    def __init__(self, context: Context, states: StateCache) -> None:
        self._context, self._states = context, states
        self._numbers = itertools.count()
        self._slots = [Slot(seq) for seq in range(context.n_seq_max - 1)]

    def busy_cells(self) -> int:
        """Cells that requests hold now, shared ones once; the others can be given up."""
        return len({cell for slot in self._slots if slot.busy for cell in slot.cells})

    def free(self) -> int:
        """Sequences without a request."""
        return sum(not slot.busy for slot in self._slots)

    def cached(self, prompt: Sequence[int]) -> int:
        """First tokens of `prompt` that need not be computed; at most all but one, whose logits are needed."""
        return self._source(prompt).length

    def shared_with_busy(self, prompt: Sequence[int]) -> int:
        """Cells that `take` would share with requests that hold them now."""
        source = self._source(prompt)
        held = {cell for slot in self._slots if slot.busy for cell in slot.cells}
        return 0 if source.state else len(held.intersection(source.slot.cells[: source.length]))

    def take(self, prompt: Sequence[int]) -> Slot:
        """A sequence for `prompt` with as much of it as any holds, or as was saved. One must be free."""
        source = self._source(prompt)
        if source.state is not None:
            self._states.use(source.state)
            slot = self._to_overwrite()
            self._restore(slot, source.state)
        else:
            slot = self._to_continue(source.slot, source.length)
            if slot is not source.slot:
                self._share(source.slot, slot, source.length)
            elif source.length < _KEPT_SHARE * len(slot.tokens):
                self._save(slot)
        self.cut(slot, min(source.length, len(slot.tokens)))
        slot.busy = True
        self._move_idle()
        return slot

    def _source(self, prompt: Sequence[int]) -> "_Source":
        """Where the beginning of `prompt` comes from; at most all but one of its tokens, whose logits are needed."""
        best = max(self._slots, key=lambda slot: common_prefix(slot.tokens, prompt))
        held = min(common_prefix(best.tokens, prompt), len(prompt) - 1)
        state, saved = self._states.longest(prompt)
        saved = min(saved, len(prompt) - 1)
        if saved > held + SHORTEST_TOKENS:
            return _Source(best, saved, state)
        return _Source(best, held, None)

    def take_empty(self) -> Slot:
        """A sequence that holds nothing. One must be free."""
        slot = self._to_overwrite()
        slot.busy = True
        self._move_idle()
        return slot

    def take_alone(self) -> Slot:
        """A sequence that holds nothing, in a cache that holds nothing: its cells begin at the first. None may be busy.

        What the others held goes to memory, as far as there is room.
        """
        for slot in sorted(self._slots, key=lambda slot: slot.used_at):
            self._give_up(slot)
        self._context.clear()
        self._slots[0].busy = True
        return self._slots[0]

    def grow(self, slot: Slot, tokens: Sequence[int]) -> None:
        """`tokens` were decoded behind what the sequence held."""
        slot.tokens += tokens
        slot.cells += itertools.islice(self._numbers, len(tokens))

    def cut(self, slot: Slot, length: int) -> None:
        """Keep the first `length` tokens. What the cache holds behind them goes, too."""
        self._context.seq_rm(slot.seq, length)
        del slot.tokens[length:], slot.cells[length:]

    def settle(self, slot: Slot, tokens: Sequence[int] = ()) -> int:
        """After a decode that did not come to its end: keep what was there, and the first of `tokens` that were finished.

        Returns how many of those.
        """
        finished = min(max(self._context.seq_pos_max(slot.seq) + 1 - len(slot.tokens), 0), len(tokens))
        self.grow(slot, tokens[:finished])
        self.cut(slot, min(self._context.seq_pos_max(slot.seq) + 1, len(slot.tokens)))
        return finished

    def keep_beginnings(self, slot: Slot, kept: KeptPrompts) -> None:
        """Hand over the state of each prompt to be kept that this sequence begins with, and of nothing behind it."""
        spare = self._context.n_seq_max - 1
        for prompt in kept.beginnings(slot.tokens):
            self._context.seq_cp(slot.seq, spare, 0, len(prompt))
            try:
                if self._context.seq_pos_max(spare) == len(prompt) - 1:
                    kept.keep(prompt, self._context.save_state(spare))
            finally:
                self._context.seq_rm(spare)

    def release(self, slot: Slot) -> None:
        """The request has ended; what its sequence holds stays for the next one with the same beginning."""
        slot.busy = False
        slot.used_at = time.monotonic()

    def make_room(self, cells: int) -> None:
        """Give up idle sequences, longest unused first, until `cells` are free or none is left."""
        if sum(len(slot.cells) for slot in self._slots) + cells <= self._context.n_ctx:
            return  # as most steps find; to count shared cells once takes longer than a small model's step
        idle = sorted((slot for slot in self._slots if not slot.busy and slot.tokens), key=lambda slot: slot.used_at)
        while idle and self._context.n_ctx - self._cells_in_use() < cells:
            self._give_up(idle.pop(0))

    def _cells_in_use(self) -> int:
        return len({cell for slot in self._slots for cell in slot.cells})

    def _move_idle(self) -> None:
        """Take idle sequences out of the cache, into memory: every step looks at their cells to find that they do not count.

        1,536 of them cost a 1B shape a seventh of its decode speed. One that would drive another out of memory stays:
        to read a conversation again takes longer than that.
        """
        idle = sorted((slot for slot in self._slots if not slot.busy and slot.tokens), key=lambda slot: slot.used_at)
        if sum(len(slot.tokens) for slot in idle) <= _HARMLESS_CELLS:
            return
        for slot in idle:
            with suppress(RuntimeFailure):  # then it stays
                if self._states.has_room(self._context.state_bytes(slot.seq)):
                    self._give_up(slot)

    def _to_continue(self, best: Slot, length: int) -> Slot:
        """`best` itself where it is free and most of it stays, or where no other is free; else one to overwrite."""
        only = not best.busy and self.free() == 1
        if not best.busy and (only or length >= _KEPT_SHARE * len(best.tokens)):
            return best
        return self._to_overwrite(best)

    def _to_overwrite(self, besides: Slot | None = None) -> Slot:
        """The free sequence that is empty or unused longest, its content saved where that pays."""
        idle = [slot for slot in self._slots if not slot.busy and slot is not besides]
        slot = min(idle, key=lambda slot: (bool(slot.tokens), slot.used_at))
        self._give_up(slot)
        return slot

    def _give_up(self, slot: Slot) -> None:
        self._save(slot)
        self.cut(slot, 0)

    def _save(self, slot: Slot) -> None:
        """Keep what the sequence holds in memory, where that pays and can be done."""
        if not slot.tokens or not self._states.wants(slot.tokens, self._context.state_bytes(slot.seq)):
            return
        with suppress(RuntimeFailure, MemoryError):
            self._states.put(slot.tokens, self._context.save_state(slot.seq))

    def _share(self, source: Slot, target: Slot, length: int) -> None:
        if length:
            self._context.seq_cp(source.seq, target.seq, 0, length)
            target.tokens, target.cells = source.tokens[:length], source.cells[:length]

    def _restore(self, slot: Slot, state: SavedState) -> None:
        self.make_room(len(state.tokens))
        with suppress(RuntimeFailure):  # no room in one piece: the prompt is read instead
            self._context.load_state(slot.seq, state.data)
            self.grow(slot, state.tokens.tolist())


@dataclass(frozen=True)
class _Source:
    """The sequence that holds most of a prompt's beginning; `state` where a saved one holds more."""

    slot: Slot
    length: int
    state: SavedState | None

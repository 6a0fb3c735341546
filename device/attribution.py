"""Whose energy it was, where several requests are computed in one step.

The rule: the joules that the meter saw while a step ran are shared in proportion to the rows that were computed for each
request. Rows computed for nobody (padding) so fall on all in that proportion, and the shares sum to what was drawn over the
steps. Time in which no step ran belongs to nobody. Joules are gross: idling is not taken off.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from device.reading import Meter, Reading
from device.running_energy import RunningEnergy

_MOST_PENDING = 10_000
"""Steps that wait for a sample; a meter that is silent for so long leaves gaps anyway."""
_SHORTEST_LAGS = 10
"""A figure needs so many periods of the meter, and so many time constants of its filter. What a filter has not shown at the
end is one time constant of the rise over idling (reference: 5.9 J for 5 to 18.7 W and 0.43 s): a tenth of it at most, then."""


@dataclass(frozen=True)
class Spent:
    """What requests cost."""

    meter: Meter
    joules: float
    """Their share."""
    watts: float
    """The mean of all that the meter saw while they were computed, shared steps in full."""


@dataclass(eq=False)
class Account:
    """One request's, with one meter; `begun` and `computed_s` are written where it is computed, the rest where it is settled."""

    attribution: "Attribution"
    begun: int = 0
    """Steps that it was in."""
    computed_s: float = 0.0
    settled: int = 0
    """Steps of which it is known what they cost, or that it will never be known."""
    unmeasured: int = 0
    """The latter."""
    joules: float = 0.0
    drawn_j: float = 0.0
    """All that was drawn in its steps, also for others."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will come for steps that have ended."""
        return self.settled == self.begun

    @property
    def is_long_enough(self) -> bool:
        """Whether this meter can follow something so short."""
        return self.computed_s >= shortest_s(self.attribution.meter)

    @property
    def is_measured(self) -> bool:
        """Whether its figures hold. Those of a meter that went away do not: steps of after that are not in them."""
        return self.is_settled and not self.unmeasured and self.is_long_enough and not self.attribution.closed


class Step(NamedTuple):
    """A step that runs: rows of each request, None for one without an account."""

    start_s: float
    rows: Sequence[tuple[Account | None, int]]


class Totals(NamedTuple):
    """What all steps took."""

    joules: float
    unmeasured_s: float
    """Time of steps whose energy is not known."""


def shortest_s(meter: Meter) -> float:
    """What takes less time has no figure of this meter."""
    return _SHORTEST_LAGS * max(meter.period_s, meter.filter.time_constant_s if meter.filter else 0.0)


def spent(accounts: Sequence[Account | None]) -> Spent | None:
    """What requests cost together; None where one of them is not settled, was not measured throughout, or is too short."""
    known = [account for account in accounts if account is not None and account.is_measured]
    if not known or len(known) < len(accounts) or len({id(account.attribution) for account in known}) > 1:
        return None
    drawn_j, computed_s = sum(each.drawn_j for each in known), sum(each.computed_s for each in known)
    if drawn_j <= 0:  # a counter that stands still measures nothing
        return None
    return Spent(known[0].attribution.meter, sum(each.joules for each in known), drawn_j / computed_s)


class Attribution:
    """Shares what one meter sees among the requests that are computed meanwhile.

    `begin` and `end` are called by the one thread that computes, and cost it about a microsecond; samples come from another.
    """

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.monotonic) -> None:
        self.meter, self.closed = meter, False
        self._clock = clock
        self._energy = RunningEnergy(meter)
        self._ended: deque[tuple[Step, float]] = deque()
        self._lock = threading.Lock()
        self._joules = self._unmeasured_s = 0.0

    def open_account(self) -> Account:
        """For one request, from before its first step."""
        return Account(self)

    def begin(self, rows: Sequence[tuple[Account | None, int]]) -> Step:
        """A step begins now; `end` must follow."""
        for account, _ in rows:
            if account is not None:
                account.begun += 1
        return Step(self._clock(), rows)

    def end(self, step: Step) -> None:
        """It ends now. What it cost is known after the next sample."""
        end_s = self._clock()
        for account, _ in step.rows:
            if account is not None:
                account.computed_s += end_s - step.start_s
        self._ended.append((step, end_s))
        if self.closed or len(self._ended) > _MOST_PENDING:
            self._settle(float("inf"))

    def add_sample(self, time_s: float, reading: Reading) -> None:
        """What the meter said at `time_s` of the clock."""
        with self._lock:
            self._energy.add(time_s, reading)
        self._settle(self._energy.until_s)

    def close(self) -> None:
        """No sample comes any more: what is not settled stays unknown."""
        self.closed = True
        self._settle(float("inf"))

    def totals(self) -> Totals:
        """Of all steps that are settled."""
        with self._lock:
            return Totals(self._joules, self._unmeasured_s)

    def _settle(self, until_s: float) -> None:
        """Share out the steps that ended by `until_s`."""
        with self._lock:
            while self._ended and self._ended[0][1] <= until_s:
                step, end_s = self._ended.popleft()
                self._share(step, end_s, self._energy.between_j(step.start_s, end_s))

    def _share(self, step: Step, end_s: float, energy_j: float | None) -> None:
        if energy_j is None:
            self._unmeasured_s += end_s - step.start_s
        else:
            self._joules += energy_j
        rows = sum(count for _, count in step.rows)
        for account, count in step.rows:
            if account is None:
                continue
            if energy_j is None:
                account.unmeasured += 1
            else:
                account.joules += energy_j * count / rows
                account.drawn_j += energy_j
            account.settled += 1

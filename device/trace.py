"""What one meter said over time, on the monotonic clock, and what went wrong meanwhile."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.reading import Meter

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Failure:
    """A look at the meter that gave nothing."""

    time_s: float
    reason: str


@dataclass(frozen=True)
class Cost:
    """What sampling itself takes; programs that a source starts are not in it."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def share(self) -> float | None:
        """Of one core; None before any time has passed."""
        return self.cpu_s / self.wall_s if self.wall_s > 0 else None


@dataclass(frozen=True, eq=False)
class Trace:
    """Samples of one meter, oldest first; all arrays are (samples,)."""

    meter: Meter
    times_s: Numbers
    """The middle of each look."""
    power_w: Numbers
    """NaN where the meter gave none."""
    energy_j: Numbers
    """The meter's own counter; NaN where it has none."""
    read_s: Numbers
    """How long each look took: half of it is how far a time may be off."""
    failures: tuple[Failure, ...] = ()
    fallen_out: int = 0
    """Samples, and failures, of before the first one here: memory for them has a limit."""
    failures_fallen_out: int = 0
    ended: str | None = None
    """Why nothing more can come, where the meter went away."""
    cost: Cost = Cost()


def make_trace(
    meter: Meter, times_s: Numbers, power_w: Numbers | None = None, energy_j: Numbers | None = None
) -> Trace:
    """A trace of given samples that took no time to read."""
    nothing = np.full(len(times_s), np.nan)
    return Trace(
        meter,
        np.asarray(times_s, dtype=np.float64),
        nothing if power_w is None else np.asarray(power_w, dtype=np.float64),
        nothing if energy_j is None else np.asarray(energy_j, dtype=np.float64),
        np.zeros(len(times_s)),
    )

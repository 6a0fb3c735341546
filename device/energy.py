"""Energy in a window of a trace: a trapezoid with interpolated edges, or a counter's difference; never a filled gap."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device.reading import Meter
from device.trace import Numbers, Trace

_GAP_PERIODS = 5
_GAP_S = 1.0


@dataclass(frozen=True)
class Window:
    """From one moment of the monotonic clock to a later one."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.end_s > self.start_s:
            raise ValueError(f"a window ends after it begins: {self.start_s} to {self.end_s} does not")

    @property
    def duration_s(self) -> float:
        """Always more than zero."""
        return self.end_s - self.start_s

    @property
    def middle_s(self) -> float:
        """Half-way."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class ValidityRecord:
    """What is known of a window's samples, and every reason for which nothing may be concluded from them."""

    samples: int
    errors: int
    largest_gap_s: float
    """The longest time without a sample that reaches into the window."""
    coverage: float
    """The share of the window that lies between two samples close enough to be joined."""
    longest_read_s: float
    """Half of it is how far the time of a sample may be off."""
    reasons: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether no reason speaks against it."""
        return not self.reasons

    def with_reasons(self, *more: str) -> "ValidityRecord":
        """The same record with further reasons against it."""
        return replace(self, reasons=(*self.reasons, *more))


@dataclass(frozen=True)
class WindowEnergy:
    """The energy in a window; None, never a guess, where it is not valid."""

    meter: Meter
    window: Window
    validity: ValidityRecord
    energy_j: float | None
    peak_w: float | None

    @property
    def mean_w(self) -> float | None:
        """The mean power over the window."""
        return None if self.energy_j is None else self.energy_j / self.window.duration_s


def window_energy(trace: Trace, window: Window) -> WindowEnergy:
    """What the meter saw within a window, from its energy counter where it has one, else from its power."""
    series = _series(trace)
    validity = examine(trace, window)
    if not validity.is_valid:
        return WindowEnergy(trace.meter, window, validity, None, None)
    if series.is_counter:
        energy = counter_j(series.times_s, series.values, window)
        # Two looks nearer than the counter's own steps have no rate: watts, where the meter has them, say the peak.
        if np.isfinite(trace.power_w).all():
            return WindowEnergy(trace.meter, window, validity, energy, _peak_w(trace.times_s, trace.power_w, window))
        rates = np.diff(series.values) / np.diff(series.times_s)
        peak = float(rates[_reaching(series.times_s, window)].max())
        return WindowEnergy(trace.meter, window, validity, energy, peak)
    energy = integral_j(series.times_s, series.values, window)
    return WindowEnergy(trace.meter, window, validity, energy, _peak_w(series.times_s, series.values, window))


def _peak_w(times_s: Numbers, power_w: Numbers, window: Window) -> float:
    edges = np.interp([window.start_s, window.end_s], times_s, power_w)
    return float(np.concatenate((power_w[_inside(times_s, window)], edges)).max())


def _inside(times_s: Numbers, window: Window) -> NDArray[np.bool_]:
    return (times_s >= window.start_s) & (times_s <= window.end_s)


def _reaching(times_s: Numbers, window: Window) -> NDArray[np.bool_]:
    """Which of the stretches between two samples reach into the window, (samples - 1,)."""
    return (times_s[1:] > window.start_s) & (times_s[:-1] < window.end_s)


def integral_j(times_s: Numbers, power_w: Numbers, window: Window) -> float:
    """The trapezoid over a window, power at its edges interpolated; samples must reach from edge to edge."""
    _require_reach(times_s, window)
    inside = (times_s > window.start_s) & (times_s < window.end_s)
    first, last = np.interp([window.start_s, window.end_s], times_s, power_w)
    times = np.concatenate(([window.start_s], times_s[inside], [window.end_s]))
    powers = np.concatenate(([first], power_w[inside], [last]))
    return float(np.sum(np.diff(times) * (powers[1:] + powers[:-1])) / 2)


def counter_j(times_s: Numbers, energy_j: Numbers, window: Window) -> float:
    """The difference of an energy counter at the edges of a window, both interpolated."""
    _require_reach(times_s, window)
    first, last = np.interp([window.start_s, window.end_s], times_s, energy_j)
    return float(last - first)


def _require_reach(times_s: Numbers, window: Window) -> None:
    if not len(times_s) or times_s[0] > window.start_s or times_s[-1] < window.end_s:
        raise ValueError("the samples do not reach from one edge of the window to the other")


def gap_limit_s(meter: Meter) -> float:
    """The longest time between two samples that may be joined by a line."""
    return max(_GAP_PERIODS * meter.period_s, _GAP_S)


def examine(trace: Trace, window: Window) -> ValidityRecord:
    """Whether the samples of a window say what happened all through it."""
    series, limit_s = _series(trace), gap_limit_s(trace.meter)
    samples = int(_inside(series.times_s, window).sum())
    errors = sum(window.start_s <= failure.time_s <= window.end_s for failure in trace.failures)
    longest_read_s = float(trace.read_s[_inside(trace.times_s, window)].max(initial=0.0))
    if np.any(np.diff(series.times_s) <= 0):
        reason = "time stood still or went back between two samples"
        return ValidityRecord(samples, errors, window.duration_s, 0.0, longest_read_s, (reason,))
    largest_gap_s, coverage, reasons = _gaps(series.times_s, window, limit_s)
    if series.is_counter and np.any(np.diff(series.values)[_reaching(series.times_s, window)] < 0):
        reasons.append("the energy counter went back")
    if reasons and trace.fallen_out:
        reasons.append(f"{trace.fallen_out} older samples were no longer remembered")
    if reasons and trace.ended is not None:
        reasons.append(f"sampling ended: {trace.ended}")
    return ValidityRecord(samples, errors, largest_gap_s, coverage, longest_read_s, tuple(reasons))


def _gaps(times_s: Numbers, window: Window, limit_s: float) -> tuple[float, float, list[str]]:
    """The largest gap that reaches into the window, the share that is covered, and what is wrong with either."""
    first = max(int(np.searchsorted(times_s, window.start_s, side="right")) - 1, 0)
    last = int(np.searchsorted(times_s, window.end_s, side="left"))
    knots = times_s[first : last + 1]
    if not len(knots) or knots[-1] < window.start_s or knots[0] > window.end_s:
        return window.duration_s, 0.0, ["no sample in the window"]
    within = np.clip(knots, window.start_s, window.end_s)
    gaps, shares = np.diff(knots), np.diff(within)
    missing = [float(within[0] - window.start_s), float(window.end_s - within[-1])]
    largest_s = max([*gaps.tolist(), *missing])
    reasons = []
    if max(missing) > 0:
        reasons.append(f"no sample for {missing[0]:.3g} s at its beginning and {missing[1]:.3g} s at its end")
    if largest_s > limit_s:
        reasons.append(f"no sample for {largest_s:.3g} s, more than the {limit_s:.3g} s that may be joined")
    return largest_s, float(shares[gaps <= limit_s].sum() / window.duration_s), reasons


class _Series(NamedTuple):
    """Samples of the one quantity that energy is taken from."""

    times_s: Numbers
    values: Numbers
    is_counter: bool


def _series(trace: Trace) -> _Series:
    """The counter where every sample has it, else the power of the samples that have it."""
    if len(trace.times_s) and np.isfinite(trace.energy_j).all():
        return _Series(trace.times_s, trace.energy_j, True)
    given = np.isfinite(trace.power_w)
    return _Series(trace.times_s[given], trace.power_w[given], False)

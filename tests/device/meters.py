"""Meters for tests: scripted sources, a clock that moves when it is waited for, and sensors that smooth."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from device.reading import Filter, Meter, Reading
from device.trace import Numbers

PLAIN = Meter("replay", "VDD_IN", "module", "measured")
INA3221 = Meter(
    "ina3221-sysfs", "VDD_IN", "module", "measured", shunt_ohm=0.005, filter=Filter(512, 0.43, 0.43), period_s=0.1
)
PMIC = Meter("pmic-ioctl", "sum of 12 rails", "pmic-rails", "measured", period_s=0.2)
SUPPLY = Meter("hwmon", "power1", "supply", "measured", period_s=0.1)


class Clock:
    """Time that passes only when somebody waits, and by `tick_s` at every look at it."""

    def __init__(self, now_s: float = 100.0, tick_s: float = 0.0) -> None:
        self.now_s, self.tick_s = now_s, tick_s
        self.waited_s: list[float] = []

    def __call__(self) -> float:
        self.now_s += self.tick_s
        return self.now_s

    def waits(self, times: int) -> Callable[[float], bool]:
        """A `wait` that moves this clock, and says to stop at the last of `times`."""

        def wait(seconds: float) -> bool:
            self.waited_s.append(seconds)
            self.now_s += seconds
            return len(self.waited_s) >= times

        return wait


class Script:
    """A source that gives what it is told, in order; exceptions are raised."""

    def __init__(self, *answers: Reading | Exception, meter: Meter = PLAIN) -> None:
        self.meter = meter
        self._answers: Iterator[Reading | Exception] = iter(answers)

    def read(self) -> Reading:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Holds nothing."""


class Following:
    """A source whose power is a function of the time on a clock."""

    def __init__(self, power_w: Callable[[float], float], clock: Clock, meter: Meter = PLAIN) -> None:
        self.meter = meter
        self._power_w, self._clock = power_w, clock

    def read(self) -> Reading:
        return Reading(power_w=self._power_w(self._clock.now_s))

    def close(self) -> None:
        """Holds nothing."""


def jittered(start_s: float, end_s: float, period_s: float, seed: int = 0) -> Numbers:
    """Times from `start_s` until just after `end_s`, the period 30 % around its value."""
    steps = np.random.default_rng(seed).uniform(0.7, 1.3, int((end_s - start_s) / period_s / 0.7) + 2) * period_s
    times = start_s + np.concatenate(([0.0], np.cumsum(steps)))
    return times[: int(np.searchsorted(times, end_s)) + 1]


def smoothed(power_w: Callable[[Numbers], Numbers], times_s: Numbers, tau_s: float, step_s: float = 0.001) -> Numbers:
    """What a sensor with a low-pass filter shows at `times_s`: its recursion, step by step as the chip computes it."""
    grid = np.arange(times_s[0] - 10 * tau_s, times_s[-1] + step_s, step_s)
    shown, keep = np.empty(len(grid)), np.exp(-step_s / tau_s)
    value = float(power_w(grid[:1])[0])
    for index, power in enumerate(power_w(grid + step_s / 2)):
        shown[index] = value
        value = keep * value + (1 - keep) * power
    return np.interp(times_s, grid, shown)


def other_scope(meter: Meter) -> Meter:
    """The same sensor, said to measure something else."""
    return replace(meter, scope="supply" if meter.scope != "supply" else "module")

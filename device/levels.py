"""Levels of load for a calibration: each is held, the sensor is sampled all through it, and the meter's reading comes in."""

import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from device.answer import tail_s
from device.calibration import Level
from device.errors import CalibrationError
from device.load import BusyThreads
from device.reading import Meter, Source
from device.sampler import Sampler
from device.trace import Trace

_STEPS = 5  # levels above idle, where there are cores enough
_SETTLE_S = 10.0  # clocks, voltages and the reference meter's own display
_MEASURE_S = 10.0
_MIN_SAMPLES = 5
_MEASURED_IN = (0.1, 10.0)  # a reading beyond these times the sensor's is in another unit


@dataclass(frozen=True)
class Seen:
    """What the sensor said while a level was held."""

    mean_w: float
    spread_w: float
    """The standard deviation of its samples."""
    samples: int


def load_steps(cores: int | None = None) -> list[int]:
    """How many threads are busy at each level: none, then evenly up to all cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    steps = min(cores, _STEPS)
    return [math.ceil(cores * step / steps) for step in range(steps + 1)]


def hold_s(meter: Meter) -> tuple[float, float]:
    """How long a level is held until the sensor shows it and nothing else, and how long it is then sampled at least."""
    return max(_SETTLE_S, tail_s(meter)), max(_MEASURE_S, 2 * _MIN_SAMPLES * meter.period_s)


def take_level(
    source: Source,
    busy_threads: int,
    ask: Callable[[Seen], float],
    *,
    wait: Callable[[float], object] = time.sleep,
    load: Callable[[int], AbstractContextManager[object]] = BusyThreads,
    clock: Callable[[], float] = time.monotonic,
) -> Level:
    """Hold a level, show what the sensor says and `ask` for the meter; the load and the sampling go on until it answers.

    Raises:
        CalibrationError: the sensor gives no power, or too seldom.
    """
    settle_s, measure_s = hold_s(source.meter)
    with load(busy_threads), Sampler(source, clock=clock) as sampler:
        wait(settle_s)
        start_s = clock()
        wait(measure_s)
        meter_w = ask(_seen(sampler.trace(), start_s))
        return Level(_seen(sampler.trace(), start_s).mean_w, meter_w)


def _seen(trace: Trace, start_s: float) -> Seen:
    power_w = trace.power_w[trace.times_s >= start_s]
    power_w = power_w[np.isfinite(power_w)]
    if trace.ended is not None or len(power_w) < _MIN_SAMPLES:
        last = trace.ended or (trace.failures[-1].reason if trace.failures else "it has a counter of energy only")
        raise CalibrationError(f"{trace.meter.source} gave {len(power_w)} readings of power, too few ({last})")
    return Seen(float(power_w.mean()), float(power_w.std(ddof=1)), len(power_w))


def parse_reading(text: str, sensor_w: float) -> float:
    """Watts as somebody types them: `7.25`, `7,25` or `7.25 W`.

    Raises:
        ValueError: it is no number, or in another unit; the message says so.
    """
    try:
        watts = float(text.strip().removesuffix("W").removesuffix("w").strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{text.strip()!r} is no number: type what the meter shows in watts, like 7.25") from None
    if not _MEASURED_IN[0] * sensor_w <= watts <= _MEASURED_IN[1] * sensor_w:
        raise ValueError(f"{watts:g} W cannot be, since the sensor says {sensor_w:.2f} W: type it in watts, like 7.25")
    return watts

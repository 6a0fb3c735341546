"""Sampling in stretches: on for some answers, off for others, one trace of all in the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from device.reading import Meter, Source
from device.sampler import Sampler
from device.trace import Cost, Trace


class Sampling(Protocol):
    """What of a sampler is needed here."""

    def start(self) -> None:
        """Begin, once."""

    def stop(self) -> Trace:
        """End, and give all that was seen."""


class Recorder:
    """Reads one open source from time to time."""

    def __init__(self, source: Source, open_sampler: Callable[[Source], Sampling] = Sampler) -> None:
        self._source, self._open_sampler = source, open_sampler
        self._traces: list[Trace] = []

    @property
    def meter(self) -> Meter:
        """What is read."""
        return self._source.meter

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Samples while the block runs; what was seen is kept however it ends."""
        sampler = self._open_sampler(self._source)
        sampler.start()
        try:
            yield
        finally:
            self._traces.append(sampler.stop())

    @property
    def ended(self) -> bool:
        """Whether the meter went away: it says nothing more."""
        return any(trace.ended for trace in self._traces)

    def trace(self) -> Trace:
        """All stretches, one after the other."""
        return joined(self.meter, self._traces)


def joined(meter: Meter, traces: Sequence[Trace]) -> Trace:
    """One trace of several that follow each other, with the gaps between them."""

    def together(name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.concatenate([np.empty(0), *(getattr(trace, name) for trace in traces)])

    return Trace(
        meter,
        times_s=together("times_s"),
        power_w=together("power_w"),
        energy_j=together("energy_j"),
        read_s=together("read_s"),
        failures=tuple(failure for trace in traces for failure in trace.failures),
        fallen_out=sum(trace.fallen_out for trace in traces),
        failures_fallen_out=sum(trace.failures_fallen_out for trace in traces),
        ended=next((trace.ended for trace in reversed(traces) if trace.ended), None),
        cost=Cost(sum(trace.cost.cpu_s for trace in traces), sum(trace.cost.wall_s for trace in traces)),
    )

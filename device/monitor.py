"""This machine's meter as long as a program runs: sampled in a thread of its own, and looked for again where there is none."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from device.attribution import Account, Attribution, Totals
from device.detect import LOOK_AGAIN, Detection, Survey, Unavailable, is_recording, open_source, survey
from device.energy import gap_limit_s
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Kind, Meter, Reading, Scope, Source
from device.sampler import Sampler
from device.sources import hwmon
from device.system import System

LOOK_AGAIN_S = 60.0
_LEAVE_S = 5.0  # a look that takes longer when told to stop is left behind
_LOG = logging.getLogger(__name__)
Labels = tuple[str, Scope, Kind]
"""Source, scope and kind: figures that differ in one of them are never added."""


@dataclass(frozen=True)
class Sample:
    """What the meter said; None for what it does not have."""

    meter: Meter
    time_s: float
    """On the monotonic clock."""
    unix_s: float
    power_w: float | None
    """Of a meter that only counts joules the mean since the sample before."""
    energy_j: float | None
    rails_w: Mapping[str, float]


@dataclass(frozen=True)
class Sampling:
    """How it went so far, over all meters that there were."""

    energy: dict[Labels, Totals]
    failures: int
    cpu_s: float
    unmetered_s: float = 0.0
    """Time of steps that ran while there was no meter."""


Listener = Callable[[Sample | None], None]
"""Called in the monitor's thread: with each sample, and with None once nothing is measured any more: see `Monitor.missing`."""


class Monitor:
    """Samples the meter that `open_source` finds. What is asked of it may be asked from any thread."""

    def __init__(
        self,
        system: System | None = None,
        meter: Path | None = None,
        asked_for: Collection[str] = (),
        *,
        period_s: float | None = None,
        look_again_s: float = LOOK_AGAIN_S,
    ) -> None:
        """`period_s` in place of the meter's own. Raises SourceUnavailableError: `meter` is a recording."""
        if meter is not None and is_recording(meter):
            raise SourceUnavailableError(
                f"{meter} is a recording, which is not of now", "name a meter, or leave --meter out"
            )
        self.system = system or System()
        self._meter, self._asked_for = meter, asked_for
        self._period_s, self._look_again_s = period_s, look_again_s
        self.attribution: Attribution | None = None
        """Of the meter that is sampled now."""
        self.unavailable: tuple[Unavailable, ...] | None = None
        """Why no better meter is here, or none at all; None before that is known."""
        self._latest: Sample | None = None
        self._failure: str | None = None  # why looks have failed since the latest sample
        self._told_failure = False
        self._unmetered_s = 0.0
        self._sampler: Sampler | None = None
        self._past = Sampling({}, 0, 0.0)
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power-monitor", daemon=True)

    def __enter__(self) -> "Monitor":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to look for a meter; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the meter; safe where it never started. A look that does not return is left behind."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LEAVE_S)

    @property
    def latest(self) -> Sample | None:
        """The newest sample; None where there is no meter, or it has been silent for so long that nothing may be said."""
        sample = self._latest
        is_fresh = sample is not None and time.monotonic() - sample.time_s <= gap_limit_s(sample.meter)
        return sample if is_fresh else None

    @property
    def missing(self) -> tuple[Unavailable, ...] | None:
        """Why nothing is measured now, the meter in use first; None where something is, or before that is known."""
        attribution, failure, others = self.attribution, self._failure, self.unavailable
        if attribution is None or others is None:
            return others
        if failure is None or self.latest is not None:
            return None
        return (Unavailable(attribution.meter.source, failure, LOOK_AGAIN), *others)

    def sampling(self) -> Sampling:
        """Joules of all steps by meter, looks that failed, and what sampling itself took."""
        with self._lock:
            return replace(self._with_current(), unmetered_s=self._unmetered_s)

    @contextmanager
    def step(self, rows: Callable[[], Sequence[tuple[Account | None, int]]]) -> Iterator[None]:
        """Count what is drawn within for `rows`, as `Attribution.begin` takes them; without a meter only the time."""
        attribution, start_s = self.attribution, time.monotonic()
        step = None if attribution is None else attribution.begin(rows())
        try:
            yield
        finally:
            if attribution is not None and step is not None:
                attribution.end(step)
            else:
                with self._lock:
                    self._unmetered_s += time.monotonic() - start_s

    def survey(self) -> Survey:
        """`detect.survey`, without opening the meter in use a second time."""
        attribution = self.attribution
        in_use = None if attribution is None else _InUse(attribution.meter, self._look)
        return survey(self.system, self._meter, self._asked_for, in_use)

    def _look(self) -> Sample:
        """The newest sample. Raises ReadingError where nothing may be said."""
        if (sample := self.latest) is None:
            raise ReadingError(self._failure or "the meter has said nothing for a while")
        return sample

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` from now on; returns what ends it."""
        with self._lock:
            self._listeners.add(listener)
        return lambda: self._leave(listener)

    def _leave(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def _tell(self, sample: Sample | None) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(sample)

    def _run(self) -> None:
        while not self._stopping.is_set():
            found = self._look_for_one()
            is_news = self.unavailable is None
            self.unavailable = found.unavailable
            if is_news and self._meter is not None:
                _warn_if_refused(found.unavailable)
            if found.selected is not None:
                with closing(found.selected):
                    self._follow(found.selected)
            elif is_news:
                self._tell(None)
            self._stopping.wait(self._look_again_s)

    def _look_for_one(self) -> Detection:
        try:
            return open_source(self.system, self._meter, self._asked_for)
        except Exception as error:  # a thread that dies unseen would leave nothing measured without a reason
            reason = f"looking for a meter failed ({type(error).__name__}: {error})"
            return Detection(None, (Unavailable("detection", reason, "report it"),))

    def _follow(self, source: Source) -> None:
        """Sample until told to stop, or until the meter goes away."""
        sampler = Sampler(
            source,
            period_s=self._period_s,
            capacity=1,
            wait=self._stopping.wait,
            listen=self._hear,
            listen_failure=self._hear_failure,
        )
        attribution = Attribution(sampler.trace().meter)
        with self._lock:
            self._sampler, self.attribution = sampler, attribution
        sampler.run()
        ended = sampler.trace().ended
        with self._lock:
            attribution.close()
            self._past = self._with_current()
            self._sampler = self.attribution = self._latest = self._failure = None
            self._told_failure = False
        if ended is not None:
            name = attribution.meter.source
            remedy = f"it is looked for again every {self._look_again_s:g} s"
            self.unavailable = (Unavailable(name, ended, remedy), *(self.unavailable or ()))
            _LOG.warning("the power meter %s has gone: %s; %s", name, ended, remedy)
            self._tell(None)

    def _hear(self, time_s: float, reading: Reading) -> None:
        attribution = self.attribution
        assert attribution is not None
        attribution.add_sample(time_s, reading)
        sample = Sample(
            attribution.meter,
            time_s,
            time.time() - (time.monotonic() - time_s),
            reading.power_w if reading.power_w is not None else _rate(self._latest, time_s, reading),
            reading.energy_j,
            reading.rails_w,
        )
        self._latest, self._failure, self._told_failure = sample, None, False
        self._tell(sample)

    def _hear_failure(self, _: float, reason: str) -> None:
        """Tell it once, when no sample holds any more: a look that fails between others is no news."""
        self._failure = reason
        if self.latest is None and not self._told_failure:
            self._told_failure = True
            self._tell(None)

    def _with_current(self) -> Sampling:
        """The past and the meter that is sampled now; with the lock held."""
        past, sampler, attribution = self._past, self._sampler, self.attribution
        if sampler is None or attribution is None:
            return past
        meter, trace = attribution.meter, sampler.trace()
        labels: Labels = (meter.source, meter.scope, meter.kind)
        before, now = past.energy.get(labels, Totals(0.0, 0.0)), attribution.totals()
        both = Totals(before.joules + now.joules, before.unmeasured_s + now.unmeasured_s)
        failures = past.failures + len(trace.failures) + trace.failures_fallen_out
        return Sampling({**past.energy, labels: both}, failures, past.cpu_s + trace.cost.cpu_s)


class _InUse:
    """The meter that a monitor samples, as a source for a single look."""

    def __init__(self, meter: Meter, look: Callable[[], Sample]) -> None:
        self.meter = meter
        self._look = look

    def read(self) -> Reading:
        sample = self._look()
        return Reading(sample.power_w, sample.energy_j, sample.rails_w)

    def close(self) -> None:
        """It stays open."""


def _warn_if_refused(unavailable: tuple[Unavailable, ...]) -> None:
    """Another meter in place of the one that the user named, or none, is not to go unnoticed."""
    for missing in unavailable:
        if missing.source == hwmon.SOURCE:
            _LOG.warning("the named meter is not used: %s; %s", missing.reason, missing.remedy.splitlines()[0])


def _rate(before: Sample | None, time_s: float, reading: Reading) -> float | None:
    """Watts since the sample before, from a counter that has moved on: one that stands still says nothing."""
    if before is None or before.energy_j is None or reading.energy_j is None or time_s <= before.time_s:
        return None
    power_w = (reading.energy_j - before.energy_j) / (time_s - before.time_s)
    return power_w if power_w > 0 else None

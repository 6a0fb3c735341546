"""A thread that looks at a meter again and again; what it saw is kept in bounded memory."""

import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Reading, Source
from device.trace import Cost, Failure, Numbers, Trace

CAPACITY = 36_000  # an hour at 10 Hz, 1.2 MB
FAILURE_CAPACITY = 1_000
JITTER = 0.3  # of the period: a fixed one locks to the rhythm of tokens
_LEAVE_S = 5.0  # a look that takes longer than this when told to stop is left behind


class Sampler:
    """Looks at `source` about once in its period until stopped, or until the meter goes away.

    `wait(s)` waits and says whether to stop; `cpu_clock` is the time that the calling thread has computed; `listen` is told
    the time and the reading of each look that gave one, `listen_failure` the time and the reason of each other, both in the
    sampler's thread.
    """

    def __init__(
        self,
        source: Source,
        *,
        period_s: float | None = None,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
        wait: Callable[[float], bool] | None = None,
        chance: random.Random | None = None,
        listen: Callable[[float, Reading], None] | None = None,
        listen_failure: Callable[[float, str], None] | None = None,
    ) -> None:
        # How long a gap may be follows from the period, so the trace has to know the one that was used.
        self._source = source
        self._meter = source.meter if period_s is None else replace(source.meter, period_s=period_s)
        self._clock, self._cpu_clock = clock, cpu_clock
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._chance, self._listen, self._listen_failure = chance or random.Random(), listen, listen_failure
        self._lock = threading.Lock()
        self._samples = _Ring(capacity)
        self._failures: deque[Failure] = deque(maxlen=FAILURE_CAPACITY)
        self._failed = 0
        self._latest: Reading | None = None
        self._ended: str | None = None
        self._cost = Cost()
        self._thread = threading.Thread(target=self.run, name="power-sampler", daemon=True)

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, once."""
        self._thread.start()

    def stop(self, leave_s: float = _LEAVE_S) -> Trace:
        """End, and give all that was seen; a look that does not return is left behind, and said to be."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(leave_s)
            if self._thread.is_alive():
                self._end(f"a look at {self._meter.source} has not returned for {leave_s:g} s")
        return self.trace()

    @property
    def latest(self) -> Reading | None:
        """What the meter said last; None before that."""
        return self._latest

    def trace(self) -> Trace:
        """All that is still remembered, now."""
        with self._lock:
            rows = self._samples.rows()
            return Trace(
                self._meter,
                times_s=rows[:, 0],
                power_w=rows[:, 1],
                energy_j=rows[:, 2],
                read_s=rows[:, 3],
                failures=tuple(self._failures),
                fallen_out=self._samples.added - len(rows),
                failures_fallen_out=self._failed - len(self._failures),
                ended=self._ended,
                cost=self._cost,
            )

    def run(self) -> None:
        """Look until stopped; what the thread does."""
        began, cpu_began = self._clock(), self._cpu_clock()
        due = began
        while not self._stopping.is_set() and self._look():
            now = self._clock()
            with self._lock:
                self._cost = Cost(self._cpu_clock() - cpu_began, now - began)
            # A look that was late is not made up for: a burst of looks says nothing new.
            due = max(due + self._meter.period_s * self._chance.uniform(1 - JITTER, 1 + JITTER), now)
            if self._wait(due - now):
                break

    def _look(self) -> bool:
        """One look; False where no further one can succeed."""
        before = self._clock()
        try:
            reading = self._source.read()
        except ReadingError as error:
            self._fail((before + self._clock()) / 2, str(error))
            return True
        except SourceUnavailableError as error:
            self._end(str(error))
            return False
        except Exception as error:  # a thread that dies unseen would leave a gap without a reason
            self._end(f"{self._meter.source} failed ({type(error).__name__}: {error})")
            return False
        after = self._clock()
        if not _says_something(reading):
            self._fail((before + after) / 2, "the reading holds neither power nor energy")
            return True
        row = ((before + after) / 2, _number(reading.power_w), _number(reading.energy_j), after - before)
        with self._lock:
            self._samples.add(row)
            self._latest = reading
        if self._listen is not None:
            self._listen(row[0], reading)
        return True

    def _fail(self, time_s: float, reason: str) -> None:
        with self._lock:
            self._failed += 1
            self._failures.append(Failure(time_s, reason))
        if self._listen_failure is not None:
            self._listen_failure(time_s, reason)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._ended = reason


class _Ring:
    """The last rows of four numbers; older ones make room and stay counted in `added`."""

    def __init__(self, capacity: int) -> None:
        self._rows = np.empty((capacity, 4))
        self.added = 0

    def add(self, row: tuple[float, float, float, float]) -> None:
        self._rows[self.added % len(self._rows)] = row
        self.added += 1

    def rows(self) -> Numbers:
        """A copy, (rows, 4), oldest first."""
        if self.added <= len(self._rows):
            return self._rows[: self.added].copy()
        return np.roll(self._rows, -(self.added % len(self._rows)), axis=0)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _says_something(reading: Reading) -> bool:
    """Whether there is power or energy, and none of them is infinite or no number."""
    given = [value for value in (reading.power_w, reading.energy_j) if value is not None]
    return bool(given) and all(math.isfinite(value) for value in given)

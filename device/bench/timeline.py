"""The phases of a series, one after the other, with the meter read in some of them; nothing is drawn while one runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from device.answer import tail_s
from device.bench.recorder import Recorder
from device.bench.series import Phase, PhaseName
from device.bench.settings import Settings

_LEAD_PERIODS = 3  # of the meter: a sample lies before each edge of what is measured, and one behind it
_STEP_S = 1.0


class Show(Protocol):
    """Where the run says how far it is."""

    def phase(self, label: str, left_s: float | None) -> None:
        """A new phase begins; `left_s` is about what the whole run still takes, None before that is known."""

    def tick(self) -> None:
        """A second of waiting has passed."""


class Timeline:
    """What has happened since the start; `phases` grows as each ends."""

    def __init__(
        self,
        settings: Settings,
        show: Show,
        recorder: Recorder | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self.show, self.recorder = settings, show, recorder
        self._clock, self._wait = clock, wait
        self.phases: list[Phase] = []

    @contextmanager
    def phase(self, name: PhaseName) -> Iterator[None]:
        """What runs within is one."""
        start_s = self._clock()
        yield
        self.phases.append(Phase(name, start_s, self._clock()))

    def idle(self, name: PhaseName, label: str, left_s: float | None) -> None:
        """Nothing is asked of the machine; only where a meter sees it."""
        if self.recorder is None or self.meter_is_gone:
            return
        self.show.phase(label, left_s)
        self.pause("rest", self._settings.settle_s)
        with self.sampling(True):
            self.pause("rest", self.lead_s)
            self.pause(name, self._settings.idle_s)
            self.pause("rest", self.lead_s)

    def sampling(self, wanted: bool) -> AbstractContextManager[None]:
        """The meter is read within, where there is one."""
        return self.recorder.sampling() if self.recorder is not None and wanted else nullcontext()

    @property
    def meter_is_gone(self) -> bool:
        """Further answers would have no energy either."""
        return self.recorder is not None and self.recorder.ended

    @property
    def idle_s(self) -> float:
        """What one idle phase takes."""
        return 0.0 if self.recorder is None else self._settings.idle_s + self._settings.settle_s

    @property
    def lead_s(self) -> float:
        """Sampled before and after what is measured."""
        return 0.0 if self.recorder is None else _LEAD_PERIODS * self.recorder.meter.period_s

    @property
    def rest_s(self) -> float:
        """Until the meter shows nothing more of an answer."""
        return 0.0 if self.recorder is None else tail_s(self.recorder.meter)

    def pause(self, name: PhaseName, seconds: float) -> None:
        """Wait, as a phase of that name."""
        if seconds <= 0:
            return
        with self.phase(name):
            until_s = self._clock() + seconds
            while (left_s := until_s - self._clock()) > 0:
                self._wait(min(left_s, _STEP_S))
                self.show.tick()

"""What the monitor sees, in the server's loop: what answers cost, the machine in one object, samples as they come."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from assistant.engine.request import Finished
from device.attribution import Spent, spent
from device.board import read_model
from device.monitor import Monitor, Sample
from device.reading import Meter
from device.thermals import read_temperatures
from device.throttling import read_throttling
from device.views import survey_facts

SETTLING_S = 0.5
"""An answer's last step is measured once the next sample has come, at 10 Hz after 0.05 s: a wait ends here,"""
_SETTLING_PERIODS = 1.5
"""or after so many periods of a slower meter: one passes between two samples, and a sample may be late."""
_LOOK_S = 0.02
FACTS_AGE_S = 5.0
STATE_S = 5.0
"""Between two events about temperatures and throttling."""
MOST_WAITING = 64
"""Events that a client who reads slowly may fall behind; then the oldest go."""
Content = dict[str, Any]


class LivePower:
    """One server's, over one monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._facts: tuple[float, Content] | None = None
        self._looking = asyncio.Lock()
        self._streams: set[_Waiting] = set()
        self._ended = False

    async def spent(self, ended: Sequence[Finished]) -> Spent | None:
        """What answers cost together, a moment after their end; None where that was not measured."""
        accounts = [each.account for each in ended]
        if not all(account is not None and account.is_long_enough for account in accounts):
            return None
        due = time.monotonic() + settling_s([account.attribution.meter for account in accounts if account is not None])
        # Looked at again rather than told: telling would wake this loop at each sample of the server's life.
        while time.monotonic() < due and not all(account is not None and account.is_settled for account in accounts):
            await asyncio.sleep(_LOOK_S)
        return spent(accounts)

    async def facts(self) -> Content:
        """What `bedside device --json` prints, `FACTS_AGE_S` old at most."""
        async with self._looking:
            if self._facts is None or time.monotonic() - self._facts[0] > FACTS_AGE_S:
                found = survey_facts(await asyncio.to_thread(self.monitor.survey))
                self._facts = time.monotonic(), found
            return self._facts[1]

    async def events(self) -> AsyncGenerator[Content | None, None]:
        """Samples as they come and the board's state now and then, until the server ends; None where there is nothing to tell."""
        loop, waiting = asyncio.get_running_loop(), _Waiting(MOST_WAITING)

        def tell(sample: Sample | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(waiting.put, self._missing() if sample is None else _sample(sample))

        leave = self.monitor.listen(tell)
        self._streams.add(waiting)
        telling = asyncio.create_task(self._tell_state(waiting))
        if self.monitor.missing is not None:
            waiting.put(self._missing())
        if self._ended:
            waiting.put(_End())
        try:
            while not isinstance(content := await waiting.get(), _End):
                yield content
        finally:
            leave()
            self._streams.discard(waiting)
            telling.cancel()

    def end_events(self) -> None:
        """Let all streams end, and those that come later."""
        self._ended = True
        for waiting in self._streams:
            waiting.put(_End())

    async def _tell_state(self, waiting: "_Waiting") -> None:
        while True:
            waiting.put(await asyncio.to_thread(self._state))
            await asyncio.sleep(STATE_S)

    def _state(self) -> Content | None:
        system = self.monitor.system
        temperatures_c, throttling = read_temperatures(system), asdict(read_throttling(system, read_model(system)))
        if not temperatures_c and not any(each is not None for each in throttling.values()):
            return None
        return {"time": time.time(), "temperatures_c": temperatures_c, "throttling": throttling}

    def _missing(self) -> Content:
        unavailable = [asdict(each) for each in self.monitor.missing or ()]
        nothing = dict.fromkeys(("power_w", "energy_j", "source", "scope", "kind"))
        return {"time": time.time(), **nothing, "reason": "not measured", "unavailable": unavailable}


def settling_s(meters: Iterable[Meter]) -> float:
    """How long at most is waited for the sample behind an answer's last step."""
    return max([SETTLING_S, *(_SETTLING_PERIODS * meter.period_s for meter in meters)])


def _sample(sample: Sample) -> Content:
    meter = sample.meter
    return {
        "time": round(sample.unix_s, 3),
        "power_w": sample.power_w,
        "energy_j": sample.energy_j,
        "source": meter.source,
        "scope": meter.scope,
        "kind": meter.kind,
    }


class _End:
    """Nothing comes any more."""


class _Waiting:
    """What one client has not been sent yet."""

    def __init__(self, most: int) -> None:
        self._queue = asyncio.Queue[Content | _End | None](most)

    def put(self, entry: Content | _End | None) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(entry)

    async def get(self) -> Content | _End | None:
        return await self._queue.get()

"""The order of a series: idle, warm-up, answers with and without sampling, idle; nothing is drawn while one of them runs."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Protocol

from device.answer import tail_s
from device.bench.engine import Engine
from device.bench.recorder import Recorder
from device.bench.series import Answer, Phase, PhaseName, Series, Task
from device.bench.settings import Settings, choose_length

_WARM_UP_TOKENS = 64
_LEAD_PERIODS = 3  # of the meter: a sample lies before each edge of what is measured, and one behind it
_STEP_S = 1.0


class Show(Protocol):
    """Where the run says how far it is."""

    def phase(self, label: str, left_s: float | None) -> None:
        """A new phase begins; `left_s` is about what the whole run still takes, None before that is known."""

    def tick(self) -> None:
        """A second of waiting has passed."""


class Run:
    """Measures one series. However `measure` ends, `series` holds what was measured until then."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        show: Show,
        recorder: Recorder | None = None,
        *,
        after_answer: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine, self._settings, self._show, self._recorder = engine, settings, show, recorder
        self._after_answer, self._clock, self._wait = after_answer, clock, wait
        self._phases: list[Phase] = []
        self._answers: list[Answer] = []
        self._complete = False

    def series(self, *before: Phase) -> Series:
        """What there is so far, behind phases that came before."""
        trace = None if self._recorder is None else self._recorder.trace()
        return Series((*before, *self._phases), tuple(self._answers), trace, self._complete)

    def measure(self) -> None:
        """All phases, one after the other."""
        self._idle("idle before", "idle, before the answers", None)
        self._show.phase("warm-up, not counted", None)
        with self._phase("warm-up"):
            warm = self._engine.answer(self._warm_up_task())
        self._pause("rest", self._rest_s)
        if self._settings.natural:
            self._answer_all(self._engine.questions(), 0.0, warm)
        else:
            self._answer_all([self._fixed_task(warm)], self._settings.least_s, warm)
        self._idle("idle after", "idle, after the answers", self._settings.idle_s + self._settings.settle_s)
        self._complete = True

    def _warm_up_task(self) -> Task:
        if self._settings.natural:
            return replace(self._engine.questions()[0], tokens=_WARM_UP_TOKENS)
        return self._engine.fixed(min(_WARM_UP_TOKENS, self._settings.tokens or self._engine.room))

    def _fixed_task(self, warm: Answer) -> Task:
        if self._settings.tokens is not None:
            return self._engine.fixed(self._settings.tokens)
        seconds_per_token = 1 / (warm.decode_tokens_per_s or warm.tokens_per_s)
        return self._engine.fixed(choose_length(seconds_per_token, warm.times.prompt_s, self._engine.room))

    def _answer_all(self, tasks: Sequence[Task], least_s: float, warm: Answer) -> None:
        """Each task once where there are several; one again and again until there is enough of it."""
        wanted = self._settings.answers if len(tasks) == 1 else len(tasks)
        expected_s = warm.times.prompt_s + tasks[0].tokens / (warm.decode_tokens_per_s or warm.tokens_per_s)
        measured_s, done = 0.0, 0
        while (done < wanted or measured_s < least_s) and not self._meter_is_gone:
            total = max(wanted, done + math.ceil((least_s - measured_s) / expected_s))
            for number, sampled in enumerate(self._order(done)):
                self._show.phase(self._label(done, total, sampled), self._left_s(total - done, number, expected_s))
                answer = self._answer(tasks[done % len(tasks)], sampled)
                measured_s += answer.answer_s if sampled or self._recorder is None else 0.0
            done += 1
            expected_s = measured_s / done

    def _order(self, done: int) -> tuple[bool, ...]:
        """Sampled or not: both in turn where there is a meter, the first of a pair another each time."""
        if self._recorder is None:
            return (False,)
        return (True, False) if done % 2 == 0 else (False, True)

    def _label(self, done: int, total: int, sampled: bool) -> str:
        how = "" if self._recorder is None else ", power sampled" if sampled else ", without sampling"
        return f"answer {done + 1} of {total}{how}"

    def _left_s(self, pairs: int, first_done: int, expected_s: float) -> float:
        """Of the whole run, with the rests and the idle phase to come."""
        if self._recorder is None:
            return pairs * expected_s
        answers = 2 * pairs - first_done
        return (
            answers * (expected_s + 2 * self._lead_s + self._rest_s) + self._settings.idle_s + self._settings.settle_s
        )

    def _answer(self, task: Task, sampled: bool) -> Answer:
        with self._sampling(sampled):
            self._pause("rest", self._lead_s)
            answer = replace(self._engine.answer(task), sampled=sampled)
            times = answer.times
            self._phases += [
                Phase("prefill", times.start_s, times.first_token_s),
                Phase("decode", times.first_token_s, times.end_s),
            ]
            self._answers.append(answer)
            self._after_answer()
            self._pause("rest", self._rest_s + self._lead_s)
        return answer

    def _idle(self, name: PhaseName, label: str, left_s: float | None) -> None:
        """Nothing is asked of the machine, the model loaded; only where a meter sees it."""
        if self._recorder is None or self._meter_is_gone:
            return
        self._show.phase(label, left_s)
        self._pause("rest", self._settings.settle_s)
        with self._sampling(True):
            self._pause("rest", self._lead_s)
            self._pause(name, self._settings.idle_s)
            self._pause("rest", self._lead_s)

    def _sampling(self, wanted: bool) -> AbstractContextManager[None]:
        return self._recorder.sampling() if self._recorder is not None and wanted else nullcontext()

    @property
    def _meter_is_gone(self) -> bool:
        """Further answers would have no energy either."""
        return self._recorder is not None and self._recorder.ended

    @property
    def _lead_s(self) -> float:
        return 0.0 if self._recorder is None else _LEAD_PERIODS * self._recorder.meter.period_s

    @property
    def _rest_s(self) -> float:
        """Until the meter shows nothing more of an answer."""
        return 0.0 if self._recorder is None else tail_s(self._recorder.meter)

    def _pause(self, name: PhaseName, seconds: float) -> None:
        if seconds <= 0:
            return
        with self._phase(name):
            until_s = self._clock() + seconds
            while (left_s := until_s - self._clock()) > 0:
                self._wait(min(left_s, _STEP_S))
                self._show.tick()

    @contextmanager
    def _phase(self, name: PhaseName) -> Iterator[None]:
        start_s = self._clock()
        yield
        self._phases.append(Phase(name, start_s, self._clock()))

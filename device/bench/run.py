"""The order of a series: idle, warm-up, answers with and without sampling, idle."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from device.bench.engine import Engine
from device.bench.series import Answer, Phase, Series, Task
from device.bench.settings import Settings, choose_length
from device.bench.timeline import Timeline

_WARM_UP_TOKENS = 64


class Run:
    """Measures one series of a loaded model. However `measure` ends, `series` holds what was measured until then."""

    def __init__(
        self, engine: Engine, settings: Settings, timeline: Timeline, *, after_answer: Callable[[], None] = lambda: None
    ) -> None:
        self._engine, self._settings, self._timeline = engine, settings, timeline
        self._after_answer = after_answer
        self._answers: list[Answer] = []
        self._interrupted = True  # until the end is reached

    @property
    def series(self) -> Series:
        """What there is so far."""
        recorder = self._timeline.recorder
        trace = None if recorder is None else recorder.trace()
        return Series(tuple(self._timeline.phases), tuple(self._answers), trace, self._interrupted)

    def measure(self) -> None:
        """All phases, one after the other."""
        timeline = self._timeline
        timeline.idle("idle before", "idle, before the answers", None)
        timeline.show.phase("warm-up, not counted", None)
        with timeline.phase("warm-up"):
            warm = self._engine.answer(self._warm_up_task())
        timeline.pause("rest", timeline.rest_s)
        if self._settings.natural:
            self._answer_all(self._engine.questions(), 0.0, warm)
        else:
            self._answer_all([self._fixed_task(warm)], self._settings.least_s, warm)
        timeline.idle("idle after", "idle, after the answers", timeline.idle_s)
        self._interrupted = False

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
        while (done < wanted or measured_s < least_s) and not self._timeline.meter_is_gone:
            total = max(wanted, done + math.ceil((least_s - measured_s) / expected_s))
            for number, sampled in enumerate(self._order(done)):
                self._timeline.show.phase(
                    self._label(done, total, sampled), self._left_s(total - done, number, expected_s)
                )
                answer = self._answer(tasks[done % len(tasks)], sampled)
                measured_s += answer.answer_s if sampled or self._timeline.recorder is None else 0.0
            done += 1
            expected_s = measured_s / done

    def _order(self, done: int) -> tuple[bool, ...]:
        """Sampled or not: both in turn where there is a meter, the first of a pair another each time."""
        if self._timeline.recorder is None:
            return (False,)
        return (True, False) if done % 2 == 0 else (False, True)

    def _label(self, done: int, total: int, sampled: bool) -> str:
        how = "" if self._timeline.recorder is None else ", power sampled" if sampled else ", without sampling"
        return f"answer {done + 1} of {total}{how}"

    def _left_s(self, pairs: int, first_done: int, expected_s: float) -> float:
        """Of the whole run, with the rests and the idle phase to come."""
        if self._timeline.recorder is None:
            return pairs * expected_s
        timeline, answers = self._timeline, 2 * pairs - first_done
        return answers * (expected_s + 2 * timeline.lead_s + timeline.rest_s) + timeline.idle_s

    def _answer(self, task: Task, sampled: bool) -> Answer:
        timeline = self._timeline
        with timeline.sampling(sampled):
            timeline.pause("rest", timeline.lead_s)
            answer = replace(self._engine.answer(task), sampled=sampled)
            times = answer.times
            timeline.phases += [
                Phase("prefill", times.start_s, times.first_token_s),
                Phase("decode", times.first_token_s, times.end_s),
            ]
            self._answers.append(answer)
            self._after_answer()
            timeline.pause("rest", timeline.rest_s + timeline.lead_s)
        return answer

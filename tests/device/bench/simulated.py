"""A machine that idles and answers by a clock of its own, a meter that sees it, and reports of such runs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np

from device.bandwidth import Bandwidth
from device.bench.circumstances import Circumstances, Look, Versions
from device.bench.memory import ProcessMemory
from device.bench.recorder import Recorder
from device.bench.report import EngineFacts, ModelFacts, Report
from device.bench.run import Run
from device.bench.series import Answer, Phase, Series, Task
from device.bench.settings import Settings
from device.bench.statistic import of_values
from device.bench.table import tabulate
from device.bench.timeline import Timeline
from device.board import Board
from device.clocks import CpuClock
from device.other_processes import Others
from device.power_mode import PowerMode
from device.reading import Meter, Reading, Source
from device.throttling import Throttling
from device.trace import Cost, Numbers, Trace, make_trace
from models.runtime.speed import AnswerTimes
from tests.device.meters import Clock, jittered, smoothed

TAU_S = 0.43
NOT_THROTTLED = Throttling(None, None, None)


class Machine:
    """Idle power that drifts from the first second on, and another while it answers."""

    def __init__(self, idle_w: float, load_w: float, *, drift_per_s: float = 0.0) -> None:
        self.clock = Clock(now_s=1000.0)
        self.answers: list[tuple[float, float]] = []
        self.idle_w, self._load_w, self._drift_per_s = idle_w, load_w, drift_per_s

    def power_w(self, times_s: Numbers) -> Numbers:
        powers = self.idle_w * (1 + self._drift_per_s * (times_s - 1000.0))
        for start_s, end_s in self.answers:
            powers = np.where((times_s >= start_s) & (times_s < end_s), self._load_w, powers)
        return powers

    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds


class Meets:
    """A source that is not read here: its stretches are made when they end."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def read(self) -> Reading:
        raise AssertionError("nobody reads it")

    def close(self) -> None:
        """Holds nothing."""


class Stretch:
    """What the machine's meter shows from start to stop: jittered, smoothed by its filter, in whole steps."""

    def __init__(self, machine: Machine, source: Source, seed: int, step_w: float) -> None:
        self._machine, self._meter, self._seed, self._step_w = machine, source.meter, seed, step_w
        self._start_s = 0.0

    def start(self) -> None:
        self._start_s = self._machine.clock.now_s

    def stop(self) -> Trace:
        times = jittered(self._start_s, self._machine.clock.now_s, self._meter.period_s, self._seed)
        times = times[times <= self._machine.clock.now_s]
        power_w = self._machine.power_w
        shown = power_w(times) if self._meter.filter is None else smoothed(power_w, times, TAU_S)
        shown = np.round(shown / self._step_w) * self._step_w if self._step_w else shown
        trace = make_trace(self._meter, times, shown)
        return Trace(trace.meter, trace.times_s, trace.power_w, trace.energy_j, trace.read_s, cost=Cost(0.01, 10.0))


class ClockedEngine:
    """Answers take the time they are told to; the meter slows them by a share."""

    room = 1920

    def __init__(self, machine: Machine, *, prompt_s: float = 1.0, token_s: float = 0.04, stop_at: int = 10**9) -> None:
        self._machine, self._prompt_s, self._token_s, self._stop_at = machine, prompt_s, token_s, stop_at
        self.slower_when_sampled = 0.0
        self.sampling: Callable[[], bool] = lambda: False
        self.asked: list[Task] = []

    def fixed(self, tokens: int) -> Task:
        return Task(tuple(range(128)), tokens)

    def questions(self) -> list[Task]:
        return [Task(tuple(range(20 + number)), 1024, f"question {number}") for number in range(5)]

    def answer(self, task: Task) -> Answer:
        if len(self.asked) == self._stop_at:
            raise KeyboardInterrupt
        self.asked.append(task)
        clock, slower = self._machine.clock, 1 + self.slower_when_sampled * self.sampling()
        tokens = task.tokens if task.question is None else 30 + 10 * int(task.question[-1])
        start_s = clock.now_s
        first_s = start_s + self._prompt_s * slower
        clock.now_s = first_s + (tokens - 1) * self._token_s * slower
        self._machine.answers.append((start_s, clock.now_s))
        times = AnswerTimes(start_s, first_s, clock.now_s)
        return Answer(task, tokens, times, "length" if task.question is None else "stop")


class Counted:
    """Shows nothing and remembers what was to be shown."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, float | None]] = []

    def phase(self, label: str, left_s: float | None) -> None:
        self.phases.append((label, left_s))

    def tick(self) -> None:
        """Nothing to draw."""


class Simulation:
    """A run over the simulated machine."""

    def __init__(
        self, machine: Machine, engine: ClockedEngine, settings: Settings, meter: Meter | None, step_w: float = 0.0
    ) -> None:
        self.machine, self.engine, self.settings, self.show = machine, engine, settings, Counted()
        self.open_stretches = 0
        recorder = None if meter is None else Recorder(Meets(meter), self._stretch)
        self._seed, self._step_w = 0, step_w
        engine.sampling = lambda: self.open_stretches > 0
        self.ends_at_stretch: int | None = None
        self.timeline = Timeline(settings, self.show, recorder, clock=machine.clock, wait=machine.wait)
        self.timeline.phases.append(Phase("load", 990.0, 1000.0))
        self.run = Run(engine, settings, self.timeline)

    def _stretch(self, source: Source) -> Stretch:
        simulation = self

        class Watched(Stretch):
            def start(self) -> None:
                simulation.open_stretches += 1
                super().start()

            def stop(self) -> Trace:
                simulation.open_stretches -= 1
                is_last = self._seed == simulation.ends_at_stretch
                return replace(super().stop(), ended="the recording is over" if is_last else None)

        self._seed += 1
        return Watched(self.machine, source, self._seed, self._step_w)


def report_of(series: Series, settings: Settings, name: str = "llama-3-8b-67", looks: tuple[Look, ...] = ()) -> Report:
    """All the rest of a report made up."""
    clocks = (CpuClock("policy0", 115.2, 1728.0, 1728.0, "schedutil"),)
    board = Board("A board", None, 8 << 30, False, PowerMode(1, "25W"), clocks, {"tj-thermal": 48.0}, (), NOT_THROTTLED)
    return Report(
        made=datetime(2026, 11, 22, 6, 0, tzinfo=timezone.utc),
        model=ModelFacts(name, "/models/m.gguf", "0123456789abcdef" * 4, 2_640_119_520, "llama", 4_300_000_000, True),
        engine=EngineFacts(6, 2176, 512, False),
        settings=settings,
        series=series,
        table=tabulate(series, settings),
        circumstances=Circumstances(board, looks, Others(0.08, {"Xorg": 0.071})),
        versions=Versions("0.1.0", "0.3.36 AVX2 = 1", "3.11.2", "6.12.0"),
        memory=ProcessMemory(3 << 30, 2 << 30, 1 << 29),
        bytes_per_token=of_values("bytes", [2.3e9]),
        bandwidth=Bandwidth(68e9, 6, 256 << 20, "read test"),
        bandwidth_share=of_values("share", [0.754]),
        unavailable=(),
    )

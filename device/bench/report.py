"""All that is known of one run: its figures, what they were measured with, and in which circumstances."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from device.answer import filter_note
from device.bandwidth import Bandwidth
from device.bench.circumstances import Circumstances, Versions
from device.bench.memory import ProcessMemory
from device.bench.series import Answer, Series
from device.bench.settings import Settings
from device.bench.statistic import Statistic
from device.bench.table import Table, idle_drift
from device.detect import Unavailable
from device.reading import Meter
from device.trace import Numbers, Trace

FORMAT = 1


@dataclass(frozen=True)
class ModelFacts:
    """The file that answered."""

    name: str
    path: str
    sha256: str
    file_bytes: int
    architecture: str
    parameters: int
    random_weights: bool


@dataclass(frozen=True)
class EngineFacts:
    """How it was run."""

    threads: int
    context_tokens: int
    batch_tokens: int
    on_gpu: bool
    """All layers are computed there; else none."""


@dataclass(frozen=True)
class Report:
    """One run, complete or as far as it came."""

    made: datetime
    model: ModelFacts
    engine: EngineFacts
    settings: Settings
    series: Series
    table: Table
    circumstances: Circumstances
    versions: Versions
    memory: ProcessMemory | None
    bytes_per_token: Statistic | None
    bandwidth: Bandwidth | None
    bandwidth_share: Statistic | None
    """Bytes per token times decode tokens/s over the bandwidth; None on a GPU, which has another."""
    unavailable: tuple[Unavailable, ...]

    @property
    def meter(self) -> Meter | None:
        """None where there is none."""
        return None if self.series.trace is None else self.series.trace.meter

    @property
    def figures(self) -> dict[str, Statistic | None]:
        """All of them by name."""
        traffic = {"bytes_per_token": self.bytes_per_token, "bandwidth_share": self.bandwidth_share}
        return {**self.table.figures, **traffic}

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the figures, throttling and busy neighbours included."""
        throttled = (f"throttled: {event}" for event in self.circumstances.throttle_events)
        cores = self.circumstances.others.cores
        disturbed = [f"other processes kept {cores:.2f} cores busy"] if self.circumstances.others.disturb else []
        return (*self.table.flags, *throttled, *disturbed)


def facts(report: Report) -> dict[str, Any]:
    """As plain values for JSON, without the samples; null, never 0, where nothing was measured."""
    return {
        "format": FORMAT,
        "complete": report.series.complete,
        "made": report.made.isoformat(timespec="seconds"),
        "model": asdict(report.model),
        "engine": asdict(report.engine),
        "settings": asdict(report.settings),
        "meter": None if report.meter is None else asdict(report.meter),
        "unavailable": [asdict(missing) for missing in report.unavailable],
        "row": {name: _median(statistic) for name, statistic in vars(report.table.row).items()},
        "figures": {name: _statistic_facts(statistic) for name, statistic in report.figures.items()},
        "peak_filter": None if report.meter is None else filter_note(report.meter),
        "memory": None if report.memory is None else asdict(report.memory),
        "bandwidth": None if report.bandwidth is None else asdict(report.bandwidth),
        "validity": _validity_facts(report),
        "answers": answer_rows(report),
        "phases": [_phase_facts(report.series, index) for index in range(len(report.series.phases))],
    }


def trace_facts(series: Series) -> dict[str, Any] | None:
    """Every sample and failure, times from the start of the run; null where there is no meter."""
    trace = series.trace
    if trace is None:
        return None
    return {
        "time_s": _numbers(trace.times_s - series.start_s),
        "power_w": _numbers(trace.power_w),
        "energy_j": _numbers(trace.energy_j),
        "read_s": _numbers(trace.read_s),
        "failures": [{"time_s": each.time_s - series.start_s, "reason": each.reason} for each in trace.failures],
        "ended": trace.ended,
        "sampler_share_of_a_core": trace.cost.share,
    }


def _numbers(values: Numbers) -> list[float | None]:
    return [round(float(value), 6) if np.isfinite(value) else None for value in values]


def _median(statistic: Statistic | None) -> float | None:
    return None if statistic is None else statistic.median


def _statistic_facts(statistic: Statistic | None) -> dict[str, Any] | None:
    """With source, scope and kind beside each figure of the meter."""
    if statistic is None:
        return None
    known = asdict(statistic)
    meter: Meter | None = statistic.meter
    known["meter"] = None if meter is None else {"source": meter.source, "scope": meter.scope, "kind": meter.kind}
    return {**known, "iqr": statistic.iqr}


def _validity_facts(report: Report) -> dict[str, Any]:
    seen, trace = report.circumstances, report.series.trace
    return {
        "flags": list(report.flags),
        "board": seen.board.to_json(),
        "highest_c": seen.highest_c,
        "lowest_mhz_after_answers": seen.lowest_mhz,
        "over_current_deltas": seen.over_current_deltas,
        "throttle_events": list(seen.throttle_events),
        "looks": [asdict(each) | {"time_s": each.time_s - report.series.start_s} for each in seen.looks],
        "other_processes": asdict(seen.others),
        "idle_drift": idle_drift(report.table.energies),
        "largest_gap_s": largest_gap_s(report.table),
        "coverage": coverage(report.table),
        "sampler_share_of_a_core": _share(trace),
        "versions": asdict(report.versions),
    }


def _share(trace: Trace | None) -> float | None:
    return None if trace is None else trace.cost.share


def largest_gap_s(table: Table) -> float | None:
    """Between two samples of any answer; None where none was sampled."""
    return max((energy.validity.largest_gap_s for energy in table.energies if energy is not None), default=None)


def coverage(table: Table) -> float | None:
    """Of the answer that is covered worst."""
    return min((energy.validity.coverage for energy in table.energies if energy is not None), default=None)


def _phase_facts(series: Series, index: int) -> dict[str, Any]:
    phase = series.phases[index]
    return {"name": phase.name, "start_s": phase.start_s - series.start_s, "end_s": phase.end_s - series.start_s}


def answer_rows(report: Report) -> list[dict[str, Any]]:
    """One for each answer, in order: its times, and its energy where there is one."""
    return [_answer_row(report, number, answer) for number, answer in enumerate(report.series.answers)]


def _answer_row(report: Report, number: int, answer: Answer) -> dict[str, Any]:
    energy = report.table.energies[number]
    figures = None if energy is None else energy.figures
    powers = ("idle_w", "inference_w", "peak_w", "gross_j", "net_j", "joules_per_token", "tokens_per_joule")
    return {
        "answer": number + 1,
        "question": answer.task.question,
        "sampled": answer.sampled,
        "start_s": answer.times.start_s - report.series.start_s,
        "prompt_tokens": len(answer.task.prompt),
        "tokens": answer.tokens,
        "finish": answer.finish,
        "answer_s": answer.answer_s,
        "ttft_s": answer.times.prompt_s,
        "prompt_tokens_per_s": answer.prompt_tokens_per_s,
        "decode_tokens_per_s": answer.decode_tokens_per_s,
        "tokens_per_s": answer.tokens_per_s,
        **{name: None if figures is None else getattr(figures, name).value for name in powers},
        "valid": None if energy is None else energy.validity.is_valid,
        "reasons": None if energy is None else "; ".join(energy.validity.reasons),
    }

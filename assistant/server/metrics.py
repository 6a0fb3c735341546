"""Counters and times for Prometheus; nothing in them comes from a text."""

from collections.abc import Callable, Iterator
from importlib.metadata import version

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from assistant.engine.request import Finished, Piece
from assistant.engine.stats import EngineStats
from device.monitor import Monitor

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """One server's measures in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each says nothing new
        self.registry = CollectorRegistry()
        Info("bedside_build", "The program that serves", registry=self.registry).info({"version": version("bedside")})
        self._counters = {
            name: Counter(f"bedside_{name}", text, registry=self.registry)
            for name, text in (
                ("prompt_tokens", "Prompt tokens of finished requests, those in the cache among them"),
                ("cached_tokens", "Prompt tokens that were in the cache"),
                ("completion_tokens", "Tokens written"),
                ("drafted_tokens", "Tokens computed on a guess"),
                ("accepted_tokens", "Guessed tokens that came true"),
            )
        }
        self._ended = Counter("bedside_requests", "Requests by how they ended", ["reason"], registry=self.registry)
        self._first = _histogram("time_to_first_token", "From submission to the first token", self.registry)
        self._gap = _histogram("inter_token", "Between two tokens of one answer", self.registry)
        self._read = Counter(
            "bedside_read_tokens", "Prompt tokens computed in bedside_prompt_seconds", registry=self.registry
        )
        self._prompt_s = Counter("bedside_prompt_seconds", "Time spent on prompts", registry=self.registry)
        self._decode_s = Counter("bedside_decode_seconds", "Time spent on answers", registry=self.registry)

    def watch_engine(self, stats: Callable[[], EngineStats | None]) -> None:
        """Show the scheduler's state and the process's memory at each scrape."""
        self.registry.register(_Gauges(stats))

    def watch_power(self, monitor: Monitor) -> None:
        """Show what the meter says at each scrape."""
        self.registry.register(_Power(monitor))

    def piece(self, event: Piece, gap_s: float) -> None:
        """Tokens that came `gap_s` after those before them."""
        for _ in event.tokens:
            self._gap.observe(gap_s / len(event.tokens))

    def ended(self, event: Finished) -> None:
        """A request's end."""
        self._ended.labels(event.reason).inc()
        for name, counter in self._counters.items():
            counter.inc(getattr(event, name))
        if event.prompt_s is not None:
            self._read.inc(event.prompt_tokens - event.cached_tokens)
            self._prompt_s.inc(event.prompt_s)
        if event.first_token_s is not None:
            self._first.observe(event.queued_s + event.first_token_s)
            self._decode_s.inc(event.decode_s or 0.0)

    def embedded(self, prompt_tokens: int, elapsed_s: float) -> None:
        """Texts whose vectors were computed."""
        self._ended.labels("stop").inc()
        self._counters["prompt_tokens"].inc(prompt_tokens)
        self._read.inc(prompt_tokens)
        self._prompt_s.inc(elapsed_s)

    def failed(self) -> None:
        """A request that could not be carried out."""
        self._ended.labels("failed").inc()

    def left(self, requests: int) -> None:
        """Requests whose client has left."""
        self._ended.labels("cancelled").inc(requests)

    def text(self) -> bytes:
        """What `GET /metrics` answers."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    def __init__(self, stats: Callable[[], EngineStats | None]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """Read when scraped."""
        found = self._stats()
        for name, text in (
            ("running", "Requests being worked on"),
            ("waiting", "Requests in the queue"),
            ("threads", "Threads of the engine, fewer beside a busy neighbour"),
        ):
            yield GaugeMetricFamily(f"bedside_{name}", text, value=0 if found is None else getattr(found, name))
        for name, text in (("steps", "Decodes so far"), ("aborted_steps", "Decodes that a cancellation ended")):
            yield CounterMetricFamily(f"bedside_{name}", text, value=0 if found is None else getattr(found, name))
        yield GaugeMetricFamily(
            "bedside_memory_bytes", "Resident memory of the process", value=psutil.Process().memory_info().rss
        )


class _Power(Collector):
    """Tokens per joule are `bedside_completion_tokens_total / bedside_energy_joules_total`, over one time and one meter.

    Over a time in which `sum(bedside_energy_unmeasured_seconds_total)` has grown there are none: tokens counted, joules did not.
    """

    _LABELS = ("source", "scope", "kind")

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """Read when scraped; a series that is not measured is absent, not 0."""
        found, sample = self._monitor.sampling(), self._monitor.latest
        drawn = CounterMetricFamily("bedside_energy_joules", "Drawn while decodes ran, gross", labels=self._LABELS)
        unknown = CounterMetricFamily(
            "bedside_energy_unmeasured_seconds",
            "Time of decodes whose energy is not known; with empty labels that while there was no meter",
            labels=self._LABELS,
        )
        for labels, totals in found.energy.items():
            drawn.add_metric(labels, totals.joules)
            unknown.add_metric(labels, totals.unmeasured_s)
        if found.unmetered_s:
            unknown.add_metric(("", "", ""), found.unmetered_s)
        power = GaugeMetricFamily("bedside_power_watts", "Power now", labels=self._LABELS)
        if sample is not None and sample.power_w is not None:
            power.add_metric((sample.meter.source, sample.meter.scope, sample.meter.kind), sample.power_w)
        yield from (drawn, unknown, power)
        yield CounterMetricFamily("bedside_power_sampling_errors", "Looks that gave nothing", value=found.failures)
        yield CounterMetricFamily("bedside_power_sampling_cpu_seconds", "What sampling took", value=found.cpu_s)


def _histogram(name: str, text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(f"bedside_{name}_seconds", text, buckets=_SECONDS, registry=registry)

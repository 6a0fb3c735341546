"""`bedside device bench`: from what the user typed to files and a table."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from device.bandwidth import Bandwidth, measure_bandwidth
from device.bench import views
from device.bench.circumstances import Circumstances, Look, look, read_versions
from device.bench.engine import BATCH_TOKENS, context_tokens, open_engine, require_text
from device.bench.memory import ProcessMemory, forget_peak, read_memory
from device.bench.output import new_folder, write_files
from device.bench.picture import HOW_TO_GET, can_draw
from device.bench.progress import progress
from device.bench.random_file import file_name, random_file
from device.bench.recorder import Recorder
from device.bench.report import EngineFacts, ModelFacts, Report
from device.bench.run import Run
from device.bench.series import Series
from device.bench.settings import Settings
from device.bench.statistic import Statistic, of_values
from device.bench.table import tabulate
from device.bench.timeline import Show, Timeline
from device.bench.traffic import bytes_per_token
from device.board import look_at_board
from device.detect import Detection, open_source
from device.errors import BenchError, DeviceError, SourceUnavailableError
from device.other_processes import OtherProcesses
from device.system import System
from models.disk import ended_by_sigterm_too, hash_file, show_bytes
from models.free_memory import free_memory_bytes
from models.gguf_header import GgufHeader, read_header
from models.memory import estimate_memory
from models.resolve import resolve_gguf
from models.runtime.library import supports_gpu
from models.synthetic.gguf import NAME as RANDOM_WEIGHTS


@dataclass(frozen=True)
class Wanted:
    """What is benched: a model on this machine, or random weights in a published shape with a share of its FFN removed."""

    model: str | None = None
    shape: str | None = None
    prune: float = 0.0
    keep: bool = False
    """The file of random weights stays in the run's folder."""

    @property
    def name(self) -> str:
        """In the table."""
        if self.shape is not None:
            return file_name(self.shape, self.prune).removesuffix("-random-q4_0.gguf")
        assert self.model is not None
        return Path(self.model).stem if self.model.endswith(".gguf") else self.model


def bench(
    wanted: Wanted,
    settings: Settings,
    *,
    meter: Path | None = None,
    jtop: bool = False,
    out: Path | None = None,
    as_json: bool = False,
) -> None:
    """Measure, write the files, print the table. After an interrupt, too: with what there is, then KeyboardInterrupt.

    Raises:
        BenchError: the meter went away; after all is written and printed.
        BedsideError: what is asked for cannot be run, or the files cannot be written: then the table is printed first.
    """
    with ended_by_sigterm_too(), _folder(wanted, out) as folder:
        report, files = _measured(wanted, settings, folder, meter=meter, jtop=jtop), list[str]()
        try:
            files = write_files(report, folder)
        finally:  # a full disk does not take the figures along
            if as_json:
                views.print_json(report, folder)
            else:
                views.print_report(report, folder, files, None if can_draw() or report.meter is None else HOW_TO_GET)
        _require_whole(report.series, f": what was measured before is in {folder}")


def _require_whole(series: Series, kept: str = "") -> None:
    """Scripts see by the exit code that a series was cut short."""
    if series.interrupted:
        raise KeyboardInterrupt
    if series.trace is not None and series.trace.ended is not None:
        raise BenchError(
            f"the meter went away ({series.trace.ended}){kept}; see `bedside device` for it, then bench again"
        )


def _measured(wanted: Wanted, settings: Settings, folder: Path, *, meter: Path | None, jtop: bool) -> Report:
    """A file of random weights is gone again in the end, unless it is to be kept."""
    with progress() as show, _file(wanted, folder, show) as path:
        header = read_header(path)
        n_ctx = _checked(header, settings)
        found = _open_meter(meter, jtop)
        with closing(found.selected) if found.selected is not None else nullcontext():
            return Session(wanted.name, header, settings, n_ctx=n_ctx, found=found, show=show).report()


@contextmanager
def _folder(wanted: Wanted, out: Path | None) -> Iterator[Path]:
    """The run's folder; an empty one does not stay when the run comes to nothing."""
    label = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted.name)
    folder = new_folder(out, label, datetime.now().astimezone())
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


@contextmanager
def _file(wanted: Wanted, folder: Path, show: Show) -> Iterator[Path]:
    if wanted.shape is None:
        assert wanted.model is not None
        yield resolve_gguf(wanted.model)
        return
    show.phase("writing a file of random weights", None)
    with random_file(folder, wanted.shape, wanted.prune, keep=wanted.keep) as path:
        yield path


def _checked(header: GgufHeader, settings: Settings) -> int:
    """Tokens of context; refuses before anything is loaded."""
    if settings.natural:
        require_text(header)
    n_ctx = context_tokens(settings, header)
    needed, free = estimate_memory(header, n_ctx, n_ubatch=BATCH_TOKENS).total_bytes, free_memory_bytes()
    if needed > free:
        raise BenchError(
            f"{header.path} needs {show_bytes(needed)} with a context of {n_ctx} tokens and {show_bytes(free)} are free;"
            " end other programs, or name a smaller --context"
        )
    return n_ctx


def _open_meter(meter: Path | None, jtop: bool) -> Detection:
    """The meter to read; one that the user named is not replaced by another."""
    found = open_source(System(), meter, {"jtop"} if jtop else ())
    refused = next((missing for missing in found.unavailable if missing.source in ("hwmon", "replay")), None)
    if meter is not None and refused is not None:
        if found.selected is not None:
            found.selected.close()
        raise SourceUnavailableError(refused.reason, refused.remedy)
    return found


class Session:
    """One run over an opened meter and a checked file."""

    def __init__(
        self, name: str, header: GgufHeader, settings: Settings, *, n_ctx: int, found: Detection, show: Show
    ) -> None:
        self._name, self._header, self._settings = name, header, settings
        self._n_ctx, self._found, self._show = n_ctx, found, show
        self._board, self._looks = look_at_board(System()), list[Look]()
        self._memory: ProcessMemory | None = None
        self._threads = 0

    def report(self) -> Report:
        """Hash, load, measure, and work it out; after an interrupt with what there is.

        Raises:
            KeyboardInterrupt: before the first answer was measured.
        """
        self._show.phase("hashing the file", None)
        sha256, others = hash_file(self._header.path), OtherProcesses()
        series = self._measure()
        circumstances = Circumstances(self._board, tuple(self._looks), others.so_far())
        bandwidth = None
        try:
            bandwidth = None if series.interrupted else _bandwidth(self._threads, self._show)
        except KeyboardInterrupt:
            series = replace(series, interrupted=True)
        traffic, share = _traffic(self._header, series, bandwidth)
        batch_tokens = max(BATCH_TOKENS, self._settings.prompt_tokens)
        return Report(
            made=datetime.now().astimezone(),
            model=self._model(sha256),
            engine=EngineFacts(self._threads, self._n_ctx, batch_tokens, supports_gpu()),
            settings=self._settings,
            series=series,
            table=tabulate(series, self._settings),
            circumstances=circumstances,
            versions=read_versions(),
            memory=self._memory,
            bytes_per_token=traffic,
            bandwidth=bandwidth,
            bandwidth_share=share,
            unavailable=self._found.unavailable,
        )

    def _model(self, sha256: str) -> ModelFacts:
        header = self._header
        return ModelFacts(
            self._name,
            str(header.path),
            sha256,
            header.file_bytes,
            header.architecture,
            header.n_params,
            header.name == RANDOM_WEIGHTS,
        )

    def _measure(self) -> Series:
        recorder = None if self._found.selected is None else Recorder(self._found.selected)
        timeline = Timeline(self._settings, self._show, recorder)
        timeline.idle("board idle", "idle, no model loaded", None)
        self._show.phase("loading", None)
        forget_peak()
        with ExitStack() as stack:
            with timeline.phase("load"):
                engine = stack.enter_context(open_engine(self._header.path, self._settings, self._n_ctx))
            self._threads, self._n_ctx = engine.threads, engine.context_tokens
            run = Run(engine, self._settings, timeline, after_answer=self._look)
            with suppress(KeyboardInterrupt):
                run.measure()
            if not run.series.answers:
                _require_whole(run.series)
            self._memory = read_memory(self._header.path)
            return run.series

    def _look(self) -> None:
        self._looks.append(look(System(), self._board.model))


def _bandwidth(threads: int, show: Show) -> Bandwidth | None:
    """Measured while the machine is as warm as it was for the answers, the model's memory free again."""
    show.phase("memory bandwidth", None)
    try:
        return measure_bandwidth(threads)
    except DeviceError:
        return None


def _traffic(
    header: GgufHeader, series: Series, bandwidth: Bandwidth | None
) -> tuple[Statistic | None, Statistic | None]:
    """Bytes per token, and which share of the bandwidth they are at the speed reached; that not on a GPU."""
    rates = [
        (bytes_per_token(header, len(answer.task.prompt), answer.tokens), answer.decode_tokens_per_s)
        for answer in series.measured
    ]
    traffic = of_values("bytes", [float(read) for read, _ in rates])
    if bandwidth is None or supports_gpu():
        return traffic, None
    shares = [read * rate / bandwidth.bytes_per_s for read, rate in rates if rate is not None]
    return traffic, of_values("share", shares)

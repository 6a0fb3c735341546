"""What `bedside device bench` prints: the paper's row, the figures with their spread, and what they hold for; 80 columns."""

import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from device.bench.questions import MAX_TOKENS
from device.bench.report import Report, coverage, facts, largest_gap_s
from device.bench.statistic import Statistic
from device.bench.table import idle_drift
from device.views import NOT_MEASURED, Page
from models.disk import show_bytes

_TIMES = {
    "seconds per answer": "answer_s",
    "time to first token": "ttft_s",
    "prompt tokens/s": "prompt_tokens_per_s",
    "decode tokens/s": "decode_tokens_per_s",
    "tokens/s, whole answer": "tokens_per_s",
}
_POWERS = {
    "board idle W, no model": "board_idle_w",
    "idle W": "idle_w",
    "inference W": "inference_w",
    "peak W": "peak_w",
    "J per answer, gross": "gross_j",
    "J per answer, net": "net_j",
    "J per token, gross": "joules_per_token",
    "J per token, net": "net_joules_per_token",
    "tokens per J, gross": "tokens_per_joule",
    "tokens per J, net": "net_tokens_per_joule",
    "cost of sampling": "sampling_cost_share",
}
_TRAFFIC = {"read per token": "bytes_per_token", "share of bandwidth": "bandwidth_share"}
_SCALES = {"share": (100.0, "%"), "bytes": (1e-9, " GB")}


def print_json(report: Report, folder: Path) -> None:
    """One JSON document on standard output: all but the samples, which are in the folder's bench.json."""
    print(json.dumps({**facts(report), "folder": str(folder)}, indent=2, ensure_ascii=False, allow_nan=False))


def print_report(report: Report, folder: Path, files: list[str], hint: str | None) -> None:
    """The row, the figures, the circumstances, and where the files are."""
    console = Console(markup=False, highlight=False)
    console.print(_row(report))
    console.print()
    console.print(_figures(report))
    page = Page()
    page.heading("Conditions")
    for name, text in _conditions(report):
        page.item(name, text)
    if report.flags:
        page.heading("Flagged")
    for flag in report.flags:
        page.item("", flag, "yellow")
    page.heading("Files")
    page.item("", f"{', '.join(files)} in" if files else "not all of them could be written in")
    page.verbatim(str(folder))
    if hint:
        page.item("", hint)


def _row(report: Report) -> Grid:
    """Table II of the paper, to its digit."""
    row = report.table.row
    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("Model", "idle W", "inference W", "tokens/s", "tok/s/W"):
        grid.add_column(heading, overflow="ellipsis", max_width=30 if heading == "Model" else None)
    cells = [row.idle_w, row.inference_w, row.tokens_per_s, row.tokens_per_joule]
    grid.add_row(Text(report.model.name), *(NOT_MEASURED if cell is None else f"{cell.median:.1f}" for cell in cells))
    return grid


def _figures(report: Report) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    grid.add_column("")
    for heading in ("median", "IQR", "interval", "n", "sensor"):
        grid.add_column(heading, justify="right", no_wrap=True)
    powers = {} if report.meter is None else _POWERS
    for name, key in {**_TIMES, **powers, **_TRAFFIC}.items():
        grid.add_row(name, *_cells(report.figures[key]))
    if report.meter is None:
        grid.add_row("watts and joules", NOT_MEASURED)
    return grid


def _cells(statistic: Statistic | None) -> list[str]:
    if statistic is None:
        return [NOT_MEASURED]
    scale, unit = _SCALES.get(statistic.unit, (1.0, ""))
    interval, off = statistic.interval, statistic.systematic
    shown = "" if interval is None else f"{_number(interval.low * scale)} to {_number(interval.high * scale)}"
    sensor = "" if statistic.meter is None else "unknown" if off is None else f"+-{_number(off * scale)}"
    median, iqr = _number(statistic.median * scale) + unit, _number(statistic.iqr * scale)
    return [median, iqr, shown, str(statistic.count), sensor]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{0.0 if abs(value) < 1e-9 else value:.4g}"


def _conditions(report: Report) -> Iterator[tuple[str, str]]:
    model, engine = report.model, report.engine
    random = ", random weights" if model.random_weights else ""
    yield "Model", f"{model.name}: {show_bytes(model.file_bytes)}{random}, sha256 {model.sha256[:16]}"
    yield "Answers", _answers_text(report)
    where = "on the GPU" if engine.on_gpu else f"on {_threads(engine.threads)}"
    yield "Engine", f"llama.cpp {where}, context {engine.context_tokens}, batch {engine.batch_tokens}"
    yield "Power", _power_text(report)
    if report.table.energies and report.meter is not None:
        yield "Trace", _trace_text(report)
    if report.memory is not None:
        memory = report.memory
        parts = f"{show_bytes(memory.anonymous_bytes)} its own, {show_bytes(memory.file_bytes)} of the file"
        gpu = "; the GPU's own is not in it" if engine.on_gpu else ""
        yield "Memory", f"{show_bytes(memory.peak_bytes)} at its peak, Python included; while answering {parts}{gpu}"
    yield "Bandwidth", _bandwidth_text(report)
    yield "Board", _board_text(report)
    yield "Interval", _interval_text(report)


def _answers_text(report: Report) -> str:
    answers = report.series.measured
    if not answers:
        return "none"
    if report.settings.natural:
        tokens = [answer.tokens for answer in answers]
        cut = sum(answer.finish != "stop" for answer in answers)
        lengths = f"{min(tokens)} to {max(tokens)} tokens, {cut or 'none'} cut off"
        return f"{len(answers)} questions, each answered to its end or {MAX_TOKENS} tokens: they differ in length, {lengths}"
    first = answers[0]
    return f"{len(answers)} of {first.tokens} tokens behind a prompt of {len(first.task.prompt)}, the same each time"


def _power_text(report: Report) -> str:
    meter, peak = report.meter, facts(report)["peak_filter"]
    if meter is None:
        return (
            f"{NOT_MEASURED}: no meter that can be used, so no idle phase either; `bedside device` says what mends it"
        )
    lag = f"; peak W as shown by the sensor's {peak}" if peak else ""
    corrected = f", {meter.correction}" if meter.correction else ""
    return f"{meter.rail} by {meter.source}: {meter.scope}, {meter.kind}{corrected}{lag}"


def _trace_text(report: Report) -> str:
    gap_s, covered, drift = largest_gap_s(report.table), coverage(report.table), idle_drift(report.table.energies)
    if gap_s is None or covered is None:
        return "no answer lies between two idle phases"
    moved = "" if drift is None else f", idle power moved by {drift:+.1%}"
    assert report.series.trace is not None
    share = report.series.trace.cost.share
    cost = "" if share is None else f", the sampler took {share:.2%} of a core"
    return f"largest gap {gap_s:.2f} s, {covered:.1%} covered{moved}{cost}"


def _bandwidth_text(report: Report) -> str:
    found = report.bandwidth
    if found is None:
        return NOT_MEASURED
    note = "; the model ran on the GPU, which may reach more" if report.engine.on_gpu else ""
    if report.bandwidth_share is not None and report.bandwidth_share.median > 1:
        note = "; a share above 100% means that caches hold much of the model"
    return f"{found.bytes_per_s / 1e9:.1f} GB/s by {_threads(found.threads)} ({found.method}){note}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _board_text(report: Report) -> str:
    seen, board = report.circumstances, report.circumstances.board
    parts = [board.model or "unknown"]
    if board.power_mode is not None:
        parts.append(f"mode {board.power_mode.name or board.power_mode.id}")
    parts += sorted({f"governor {clock.governor}" for clock in board.cpu_clocks if clock.governor})
    parts += [f"{mhz:.0f} MHz at least ({policy})" for policy, mhz in seen.lowest_mhz.items()]
    if seen.highest_c:
        zone, highest_c = max(seen.highest_c.items(), key=lambda item: item[1])
        start_c = board.temperatures_c.get(zone)
        parts.append(f"{zone} {'?' if start_c is None else f'{start_c:.0f}'} to {highest_c:.0f} C")
    parts += [f"fan {fan.name} {fan.rpm} rpm" for fan in board.fans if fan.rpm is not None]
    busiest = ", ".join(f"{name} {cores:.2f}" for name, cores in seen.others.busiest.items())
    parts.append(f"other processes took {seen.others.cores:.2f} cores{f' ({busiest})' if busiest else ''}")
    return ", ".join(parts)


def _interval_text(report: Report) -> str:
    statistic = report.table.figures["answer_s"]
    if statistic is None or statistic.interval is None:
        return "none: one answer has no spread"
    interval = statistic.interval
    sensor = "" if report.meter is None else "; the sensor's own error comes to it"
    holds = f"holds the median of all such answers with {interval.coverage:.1%}"
    return f"{holds} ({interval.method}, n {statistic.count}){sensor}"

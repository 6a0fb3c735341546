"""The files of one run: bench.json, answers.csv, trace.csv, power.png; each whole or not at all."""

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from device.bench.picture import can_draw, draw_power
from device.bench.report import Report, answer_rows, facts, trace_facts
from device.bench.series import Series, phase_at
from device.errors import BenchError
from device.trace import Trace
from models.disk import storage_errors, write_atomically

DOCUMENT = "bench.json"


def new_folder(named: Path | None, model: str, now: datetime) -> Path:
    """The folder for a run's files: the user's, else a dated one here; made now, so that a long run does not end in vain.

    Raises:
        BenchError: it holds a run already, or is a file.
        StorageError: it cannot be made.
    """
    folder = named or Path(f"bench-{now:%Y%m%d-%H%M%S}-{model}")
    if (folder / DOCUMENT).exists():
        raise BenchError(f"{folder} holds a bench already; name another folder with --out")
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"{folder} is a file; name a folder with --out")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_files(report: Report, folder: Path) -> list[str]:
    """Write all that there is and give the files' names. Raises StorageError."""
    trace, series = report.series.trace, report.series
    document = {**facts(report), "trace": trace_facts(series)}
    files = {DOCUMENT: _json(document)}
    if report.series.answers:
        files["answers.csv"] = _csv(answer_rows(report))
    if trace is not None and len(trace.times_s) > 1:
        files["trace.csv"] = _csv(_trace_rows(series, trace))
        if can_draw():
            meter = trace.meter
            files["power.png"] = draw_power(
                series, trace, f"{report.model.name}: {meter.rail} by {meter.source} ({meter.scope}, {meter.kind})"
            )
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _csv(rows: list[dict[str, Any]]) -> bytes:
    """Columns are the first row's; an empty field is what was not measured."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _field(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _field(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"{value:.9g}" if isinstance(value, float) else value


def _trace_rows(series: Series, trace: Trace) -> list[dict[str, Any]]:
    samples = trace_facts(series)
    assert samples is not None
    return [
        {"time_s": time_s, "power_w": power_w, "energy_j": energy_j, "phase": phase_at(series.phases, at)}
        for time_s, power_w, energy_j, at in zip(
            samples["time_s"], samples["power_w"], samples["energy_j"], trace.times_s.tolist(), strict=True
        )
    ]

"""The report of a finished run: `report/` with a page, tables as Markdown, CSV and JSON, and figures as SVG and PNG."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from math import exp
from pathlib import Path
from typing import Any

from compressor.manifest import write_json
from compressor.report.canvas import save_figure
from compressor.report.figures import SizeLine, curves_figure, size_figure, widths_figure
from compressor.report.page import Page
from compressor.report.quantized import CSV_COLUMNS, TENSOR_CSV_COLUMNS, rises, tensor_costs
from compressor.report.tables import (
    CONVENTIONS,
    LONG_COLUMNS,
    all_sections,
    build_report,
    cells,
    rise_nats,
    stage_notes,
    texts,
    to_markdown,
)
from compressor.storage import write_text

Report = Mapping[str, Any]
Pictures = list[tuple[Path, str]]


def write_report(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write RUN/report/. Raises StorageError, RunError for an unfinished run."""
    report, folder = build_report(out, manifest), out / "report"
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", to_markdown(report))
    write_text(folder / "report.csv", to_csv(report))
    write_text(folder / "quantization.csv", quantization_csv(report))
    if (costs := rise_nats(report)) is not None:
        write_text(folder / "tensors.csv", tensors_csv(costs))
    write_page(folder, report, draw_figures(folder, report, manifest["shape"]["ffn"]))


def to_csv(report: Report) -> str:
    """report.csv: one line for each file and text."""
    head = ("file", "bytes", "parameters", "ffn_share_removed", "text")
    scores = ("perplexity_hf_stride", "bits_per_byte", "perplexity_llama_cpp_chunk", "decode_tokens_per_s")
    lines = []
    for row in report["rows"]:
        for text, score in row["texts"].items():
            known = (row["label"], row["bytes"], row["parameters"], f"{row['ffn_share_removed']:.6f}", text)
            chunk = "" if score["llama_cpp_chunk"] is None else f"{score['llama_cpp_chunk']:.6f}"
            measured = (f"{score['hf_stride']:.6f}", f"{score['bits_per_byte']:.6f}", chunk)
            lines.append((*known, *measured, f"{row['decode_tokens_per_s']:.3f}"))
    return _csv((*head, *scores), lines)


def quantization_csv(report: Report) -> str:
    """quantization.csv: one line for each quantized file and text."""
    lines = [
        (
            rise.text,
            rise.file,
            f"{rise.nats:.8f}",
            f"{exp(rise.nats):.8f}",
            "" if rise.to_dense is None else f"{rise.to_dense:.6f}",
        )
        for text in texts(report)
        for rise in rises(report["rows"], text)
    ]
    return _csv(CSV_COLUMNS, lines)


def tensors_csv(costs: Mapping[str, float]) -> str:
    """tensors.csv: what keeping each kind of tensor, and each layer's of the costliest kind, at F16 wins back."""
    lines = [
        (name, f"{nats:.8f}", "" if share is None else f"{share:.6f}") for name, nats, share in tensor_costs(costs)
    ]
    return _csv(TENSOR_CSV_COLUMNS, lines)


def _csv(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return stream.getvalue()


def draw_figures(folder: Path, report: Report, dense_width: int) -> Pictures:
    """Size against perplexity for each text, widths per layer, loss curves of healing. Raises StorageError."""
    drawn: Pictures = []
    for text in texts(report):
        name = re.sub(r"[^a-z0-9]+", "-", Path(text).stem.lower()).strip("-")
        figure = size_figure(
            _size_lines(report, text), f"{report['model']}, {Path(text).stem} held out", "file size, MB", 1e6
        )
        drawn.append(
            (save_figure(figure, folder, f"size-{name}")[0], f"Size of each file against its perplexity on {text}.")
        )
    for stage, facts in report["facts"].items():
        if stage.endswith("-mask"):
            path = save_figure(widths_figure(facts["widths"], dense_width), folder, "widths")[0]
            drawn.append((path, "FFN neurons that each layer keeps."))
        if facts.get("train_curve"):
            curves = {"training": facts["train_curve"], "tuning": facts["tuning_curve"]}
            path = save_figure(curves_figure(curves, "Healing"), folder, f"loss-{stage}")[0]
            drawn.append((path, f"Loss per weighted token during {stage}; the best tuning loss is what was kept."))
    return drawn


def _size_lines(report: Report, text: str) -> list[SizeLine]:
    return [
        SizeLine(
            row["label"],
            ((row["bytes"], row["texts"][text]["hf_stride"]),),
            "dense" if row["label"].startswith("dense") else "ours",
        )
        for row in report["rows"]
    ]


def write_page(folder: Path, report: Report, pictures: Pictures) -> None:
    """index.html. Raises StorageError."""
    page = Page(f"{report['model']}, recipe {report['recipe']['name']}")
    page.figures(pictures)
    for text in texts(report):
        page.heading(f"Measured on {text}")
        page.table(LONG_COLUMNS, cells(report, text))
    page.note(CONVENTIONS)
    for title, columns, rows in all_sections(report):
        page.heading(title)
        page.table(columns, rows)
    page.heading("How it was made")
    page.items([note.removeprefix("* ") for note in stage_notes(report["facts"])])
    page.table(("stage", "s"), [(name, f"{wall_s:.1f}") for name, wall_s in report["wall_s"].items()])
    page.note(
        f"Peak memory {report['peak_memory_bytes'] / 2**20:.0f} MiB; {sum(report['wall_s'].values()):.0f} s in all."
    )
    page.write(folder / "index.html")

"""The report of a finished run: `report/` with a page, tables as Markdown, CSV and JSON, and figures as SVG and PNG."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compressor.manifest import write_json
from compressor.report.accuracy import accuracy_sections
from compressor.report.canvas import save_figure
from compressor.report.figures import SizeLine, curves_figure, size_figure, widths_figure
from compressor.report.page import Page
from compressor.report.tables import CONVENTIONS, LONG_COLUMNS, build_report, cells, stage_notes, texts, to_markdown
from compressor.storage import write_text

Report = Mapping[str, Any]
Pictures = list[tuple[Path, str]]


def write_report(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write RUN/report/. Raises StorageError, RunError for an unfinished run."""
    report, folder = build_report(out, manifest), out / "report"
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", to_markdown(report))
    write_text(folder / "report.csv", to_csv(report))
    write_page(folder, report, draw_figures(folder, report, manifest["shape"]["ffn"]))


def to_csv(report: Report) -> str:
    """report.csv: one line for each file and text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ("file", "bytes", "parameters", "ffn_share_removed", "text")
    writer.writerow(
        (*head, "perplexity_hf_stride", "bits_per_byte", "perplexity_llama_cpp_chunk", "decode_tokens_per_s")
    )
    for row in report["rows"]:
        for text, score in row["texts"].items():
            known = (row["label"], row["bytes"], row["parameters"], f"{row['ffn_share_removed']:.6f}", text)
            chunk = "" if score["llama_cpp_chunk"] is None else f"{score['llama_cpp_chunk']:.6f}"
            measured = (f"{score['hf_stride']:.6f}", f"{score['bits_per_byte']:.6f}", chunk)
            writer.writerow((*known, *measured, f"{row['decode_tokens_per_s']:.3f}"))
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
    for title, columns, rows in accuracy_sections(report["rows"], report["published"]):
        page.heading(title)
        page.table(columns, rows)
    page.heading("How it was made")
    page.items([note.removeprefix("* ") for note in stage_notes(report["facts"])])
    page.table(("stage", "s"), [(name, f"{wall_s:.1f}") for name, wall_s in report["wall_s"].items()])
    page.note(
        f"Peak memory {report['peak_memory_bytes'] / 2**20:.0f} MiB; {sum(report['wall_s'].values()):.0f} s in all."
    )
    page.write(folder / "index.html")

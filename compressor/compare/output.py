"""What a comparison leaves in `report/`: tables, figures 1, 3 and 4, and a page that holds all of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compressor.compare.run import Comparison
from compressor.compare.tables import (
    HEALED_HEADER,
    NOTES,
    PUBLISHED,
    TRAINED,
    VERDICT_HEADER,
    cut_label,
    healed_cells,
    missing_lines,
    summarise,
    table_cells,
    table_header,
    to_csv,
    to_markdown,
    verdict_cells,
    verdict_lines,
)
from compressor.manifest import write_json
from compressor.report.canvas import save_figure
from compressor.report.figures import RateCurve, SizeLine, rates_figure, size_figure
from compressor.report.page import Page
from compressor.storage import write_text

Summary = Mapping[str, Any]
MOST_TEXTS = 3


def write_comparison(comparison: Comparison) -> dict[str, Any]:
    """Write `report/`: compare.md, .csv, .json, figures and index.html; returns what they show. Raises StorageError."""
    job = comparison.bench.job
    folder = job.out / "report"
    summary = summarise(comparison)
    title = f"{job.name}: criteria side by side, recipe {job.recipe_name}"
    write_json(folder / "compare.json", summary)
    write_text(folder / "compare.md", to_markdown(summary, title))
    write_text(folder / "compare.csv", to_csv(summary))
    write_page(folder, title, summary, draw_figures(folder, job.name, summary))
    return summary


def draw_figures(folder: Path, model: str, summary: Summary) -> list[tuple[Path, str]]:
    """Figure 1, and figures 3 and 4 where there was a sweep; SVG paths with captions. Raises StorageError."""
    text = next(iter(summary["columns"]))
    lines = size_lines(summary, text)
    figure = size_figure(lines, f"{model}, {text} held out", "parameters, millions", 1e6)
    drawn = [(save_figure(figure, folder, "figure-1")[0], f"Size against perplexity on {text}, without healing.")]
    curves = rate_curves(summary)
    if any(len(line.shares) > 2 for lines in curves.values() for line in lines):
        path = save_figure(rates_figure(curves), folder, "figures-3-4")[0]
        drawn.append((path, "Perplexity against the share of FFN neurons removed; rings mark the knees."))
    return drawn


def size_lines(summary: Summary, text: str) -> list[SizeLine]:
    """Figure 1's lines: dense, ours, and every published baseline over the rates of the tables."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for table in summary["tables"]:
        rows = [("ours", "ours", table["ours"])] if table["ours"] is not None else []
        rows += [
            (row["method"], "other", row) for group in (PUBLISHED, TRAINED) for row in table["groups"].get(group, ())
        ]
        for label, kind, row in rows:
            found.setdefault((label, kind), []).append((row["parameters"], row["texts"][text]["perplexity"]))
    dense = next(point for point in summary["sweep"] if point["method"] == "dense")
    lines = [SizeLine("dense", ((dense["parameters"], dense["perplexity"][text]),), "dense")]
    return lines + [SizeLine(label, tuple(points), kind) for (label, kind), points in found.items()]


def rate_curves(summary: Summary) -> dict[str, list[RateCurve]]:
    """Figures 3 and 4: text to one curve for each way of healing."""
    texts = [name for name in summary["columns"] if " " not in name][:MOST_TEXTS]
    heals = list(dict.fromkeys(point["heal"] for point in summary["sweep"]))
    curves: dict[str, list[RateCurve]] = {text: [] for text in texts}
    for heal in heals:
        points = [point for point in summary["sweep"] if point["heal"] == heal]
        label = "no healing" if heal == "none" else f"healed on {heal}"
        shares = tuple(point["removed"] for point in points)
        for text in texts:
            curves[text].append(RateCurve(label, shares, tuple(point["perplexity"][text] for point in points)))
    return curves


def write_page(folder: Path, title: str, summary: Summary, figures: Sequence[tuple[Path, str]]) -> None:
    """index.html. Raises StorageError."""
    page = Page(title)
    page.figures(figures)
    page.heading("Verdicts")
    page.table(VERDICT_HEADER, verdict_cells(summary))
    page.items(verdict_lines(summary))
    if summary["healing"]:
        page.heading("Healing")
        page.table(HEALED_HEADER, healed_cells(summary))
    page.note(NOTES)
    for table in summary["tables"]:
        for group, rows in table["groups"].items():
            with_ours = table["ours"] is not None and group == PUBLISHED
            shown = [table["ours"], *rows] if with_ours else rows
            page.heading(f"{cut_label(table)} of the FFN neurons removed: {group}")
            page.table(
                table_header(summary), [table_cells(row, summary) for row in shown], ours=(0,) if with_ours else ()
            )
    page.items(missing_lines(summary, ""))
    page.write(folder / "index.html")

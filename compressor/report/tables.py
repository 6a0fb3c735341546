"""The report of a run: a table of what was kept, for the terminal, for people (Markdown) and for programs (JSON)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from compressor.errors import RunError
from compressor.report.accuracy import accuracy_sections
from compressor.report.quantized import quantization_sections
from compressor.report.sections import Section, print_sections

COLUMNS = ("file", "size MB", "parameters", "FFN cut", "perplexity", "bits/byte", "tok/s")
LONG_COLUMNS = (*COLUMNS, "prompt tok/s", "llama.cpp chunks")

CONVENTIONS = """\
Perplexity (`hf_stride`): each document alone, windows overlapping by half, each from BOS, every token scored once; bits per
byte are of this. llama.cpp chunks (`llama_cpp_chunk`): all text joined, windows starting with BOS, second half scored.
Both are of the file itself, through llama.cpp."""


def read_manifest(out: Path) -> dict[str, Any]:
    """RUN/manifest.json. Raises RunError where there is none."""
    try:
        content = json.loads((out / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{out} holds no run ({error}); give the --out folder of bedside compress") from error
    if not isinstance(content, dict):
        raise RunError(f"{out}/manifest.json is damaged; run bedside compress with the same --out again")
    return content


def build_report(out: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The measured rows with what made them. Raises RunError where the run is not finished."""
    stages = manifest["stages"]
    evaluation = next((record for name, record in stages.items() if name.endswith("-evaluate")), None)
    if evaluation is None:
        raise RunError(f"the run in {out} is not finished; run the same bedside compress command to continue")
    return {
        "model": manifest["model"]["name"],
        "recipe": manifest["recipe"],
        "rows": evaluation["facts"]["rows"],
        "published": evaluation["facts"]["published"],
        "facts": {name: record["facts"] for name, record in stages.items() if name != evaluation["stage"]},
        "wall_s": {name: record["wall_s"] for name, record in stages.items()},
        "peak_memory_bytes": max(record["peak_memory_bytes"] for record in stages.values()),
        "versions": manifest["versions"],
    }


def cells(report: Mapping[str, Any], text: str) -> list[tuple[str, ...]]:
    """The table's rows as strings for one evaluation text, in the order of LONG_COLUMNS."""
    return [_cells(row, row["texts"][text]) for row in report["rows"]]


def _cells(row: Mapping[str, Any], score: Mapping[str, Any]) -> tuple[str, ...]:
    chunks = score["llama_cpp_chunk"]
    return (
        str(row["label"]),
        f"{row['bytes'] / 1e6:.1f}",
        f"{row['parameters']:,}",
        f"{row['ffn_share_removed']:.1%}",
        f"{score['hf_stride']:.2f}",
        f"{score['bits_per_byte']:.3f}",
        _rate(row["decode_tokens_per_s"]),
        _rate(row["prompt_tokens_per_s"]),
        "–" if chunks is None else f"{chunks:.2f}",
    )


def _rate(tokens_per_s: float) -> str:
    return f"{tokens_per_s:,.0f}" if tokens_per_s >= 100 else f"{tokens_per_s:.1f}"


def texts(report: Mapping[str, Any]) -> list[str]:
    """The evaluation texts, in the recipe's order."""
    return list(report["recipe"]["content"]["evaluate"]["text"])


def rise_nats(report: Mapping[str, Any]) -> Mapping[str, float] | None:
    """What the quantize stage found by tensor; None where `quantize.compare` does not name tensors."""
    found: Mapping[str, float] | None = next(
        (f["rise_nats"] for f in report["facts"].values() if "rise_nats" in f), None
    )
    return found


def all_sections(report: Mapping[str, Any]) -> list[Section]:
    """The tables below that of the files: answers to questions, then what quantization costs."""
    return [
        *accuracy_sections(report["rows"], report["published"]),
        *quantization_sections(report["rows"], rise_nats(report), texts(report)),
    ]


def to_markdown(report: Mapping[str, Any]) -> str:
    """report.md."""
    lines = [f"# {report['model']}, recipe {report['recipe']['name']}", ""]
    for text in texts(report):
        lines += [f"Text: {text}", "", *markdown_table(LONG_COLUMNS, cells(report, text)), ""]
    for title, columns, rows in all_sections(report):
        lines += [f"## {title}", "", *markdown_table(columns, rows), ""]
    lines += [CONVENTIONS, "", *stage_notes(report["facts"]), ""]
    lines += [
        f"Peak memory {report['peak_memory_bytes'] / 2**20:.0f} MiB; {sum(report['wall_s'].values()):.0f} s in all.",
        "",
    ]
    lines += markdown_table(("stage", "s"), [(name, f"{wall_s:.1f}") for name, wall_s in report["wall_s"].items()])
    return "\n".join([*lines, ""])


def stage_notes(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown items: what the stages found."""
    notes = []
    for name, found in facts.items():
        if "tokens" in found:
            notes.append(f"* {name}: {found['rows']} rows, {found['tokens']:,} tokens")
        if "widths" in found and "architecture" in found:
            notes.append(f"* {name}: {found['architecture']}, FFN widths {', '.join(map(str, found['widths']))}")
        if "tuning_loss_before" in found:
            kept = "kept" if found["used"] else "dropped"
            before, after = found["tuning_loss_before"], found["tuning_loss_after"]
            notes.append(f"* {name}: loss on tuning text {before:.3f} → {after:.3f} nats per token, {kept}")
        notes += [f"* {name}: {note}" for note in found.get("notes", [])]
    return notes


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def print_table(report: Mapping[str, Any], console: Console) -> None:
    """The table on the terminal, one for each evaluation text; it fits 80 columns."""
    for text in texts(report):
        table = Table(
            title=f"{report['model']}, recipe {report['recipe']['name']}, on {text}",
            box=box.SIMPLE,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for index, column in enumerate(COLUMNS):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index > 0)
        for row in cells(report, text):
            table.add_row(*row[: len(COLUMNS)])
        console.print(table)
    print_sections(all_sections(report), console)

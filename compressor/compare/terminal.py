"""What `bedside compare` prints, and `bedside report` again for a finished comparison; it fits 80 columns."""

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from compressor.compare.bootstrap import Estimate
from compressor.compare.cell import FORMAT
from compressor.compare.tables import PUBLISHED, TRAINED, cut_label, percent
from compressor.errors import RunError

_MET = {True: "met", False: "NOT met", None: "open"}


def read_summary(out: Path) -> dict[str, Any]:
    """What a comparison's tables show. Raises RunError where it has not come to its end, or is of another version."""
    try:
        content: dict[str, Any] = json.loads((out / "report" / "compare.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"the comparison in {out} is not finished; run the same bedside compare command to continue"
        ) from error
    if content.get("format") != FORMAT:
        raise RunError(f"the comparison in {out} was made by another version; run bedside compare with another --out")
    return content


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Loss rises of ours and the published baselines, the verdicts, and what healing gave ours."""
    for table in summary["tables"]:
        console.print(_rises(table, [name for name in summary["column_order"] if " " not in name]))
        if table["ours"] is not None:
            console.print(f"ours: {table['ours']['method']}", highlight=False, markup=False)
    for line in (*short_verdicts(summary), *short_standings(summary), *short_healings(summary)):
        console.print(line, highlight=False, markup=False)


def _rises(table: Mapping[str, Any], columns: list[str]) -> Table:
    title = f"{cut_label(table)} of FFN neurons removed, loss rise"
    shown = Table(title=title, box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    shown.add_column("method", no_wrap=True, max_width=30)
    for name in columns:
        shown.add_column(name, justify="right", no_wrap=True)
    ours = table["ours"]
    rows = [("ours", ours)] if ours is not None else []
    rows += [(row["method"], row) for group in (PUBLISHED, TRAINED) for row in table["groups"].get(group, ())]
    for label, row in rows:
        shown.add_row(label, *(f"{row['texts'][name]['rise']['value']:.3f}" for name in columns))
    return shown


def short_verdicts(summary: Mapping[str, Any]) -> list[str]:
    """One line of at most 80 columns for each goal."""
    lines = []
    for item in summary["verdicts"]:
        if item["goal"] is not None and " " not in item["column"]:
            value = Estimate(**item["ratio"]) if item["ratio"] is not None else None
            shown = "–" if value is None else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"
            name = f"{percent(item['removed'])} {item['column']}, Δ / {item['other']}"
            lines.append(f"{name:<46.46} {shown:<18} ≤ {item['goal']} {_MET[item['met']]}")
    return lines


def short_standings(summary: Mapping[str, Any]) -> list[str]:
    """One line of at most 80 columns for each rate and text: whether ours is below all, without ATP and with it."""
    answer = {True: "yes", False: "NO", None: "–"}
    return [
        f"{percent(item['removed']) + ' ' + item['column']:<24.24} below every baseline: "
        f"{answer[item['below_baselines']]}, ATP (trains weights): {answer[item['below_training']]}"
        for item in summary["standings"]
        if " " not in item["column"]
    ]


def short_healings(summary: Mapping[str, Any]) -> list[str]:
    """Of ours: a heading for each text that was healed on, and a line of at most 80 columns for each rate and text."""
    lines = []
    healings = [item for item in summary["healing"] if item["is_ours"] and " " not in item["column"]]
    for heal, items in groupby(healings, key=lambda item: item["heal"]):
        lines.append(f"ours healed on {heal}, perplexity as a multiple of dense healed alike:")
        for item in items:
            recovered = "–" if item["recovered"] is None else f"{item['recovered']:.0%}"
            goal = "" if item["goal"] is None else f" ≤ {item['goal']} {_MET[item['met']]}"
            name = f"{percent(item['removed'])} {item['column']}"
            lines.append(f"{name:<38.38} {item['ratio']:.2f}{goal}, {recovered} of Δ recovered")
    return lines

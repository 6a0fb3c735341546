"""The tables of a comparison: for the terminal, for people (Markdown) and for programs (CSV, JSON)."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from compressor.compare.bootstrap import CONFIDENCE, DRAWS, Estimate
from compressor.compare.grid import (
    OBS_ROUNDS,
    TYR,
    Plan,
    ablations,
    candidates,
    choose_ours,
    heal_methods,
    judged_share,
    learned,
    published,
    same_reconstruction,
    sweep_method,
)
from compressor.compare.run import Comparison
from compressor.compare.summary import Healed, Scores, Verdict, healings, table_row, verdicts
from compressor.report.tables import markdown_table

PUBLISHED, REFITTED = "published, native form", "the same reconstruction"
CANDIDATES, LEARNED, ABLATION = "forms of ours", "masks learned by back-propagation", "ablation"
NOTES = f"""\
Δ = ln PPL − ln PPL of the dense model, both over the same documents' tokens, mean over seeds; in brackets the
{CONFIDENCE:.0%} interval of a paired bootstrap over documents ({DRAWS} draws). "unseen" and "seen": documents that share no run
of 13 words with the training part, and those that do. Tuning loss is the only number that a choice was made on: "ours"
is the form of our pipeline with the lowest. `saliency` alone is the paper's criterion; `obs {OBS_ROUNDS} rounds + own` is
Týr's recipe without its evolutionary search; `slicegpt` has the same total parameters, its rotations counted; `atp` trains
weights too."""


def summarise(comparison: Comparison, plan: Plan) -> dict[str, Any]:
    """Everything that the tables and figures show, as plain values."""
    scores = comparison.scores
    text = next(iter(scores.columns))
    judged = judged_share(plan, comparison.finished, lambda cell: scores.rise(cell, text))
    shares = sorted({*plan.shares, *([judged] if judged is not None else [])})
    return {
        "columns": {name: len(column.documents) for name, column in scores.columns.items()},
        "dense": _dense(scores),
        "tables": [_section(scores, plan, share) for share in shares],
        "verdicts": [_plain(verdict) for share in shares for verdict in _verdicts(comparison, plan, share)],
        "healing": [
            asdict(healed)
            for data in plan.heals
            for share in shares
            for healed in _healed(comparison, plan, share, data)
        ],
        "judged_share": judged,
        "sweep": _sweep(comparison, plan),
        "failed": {cell.name: message for cell, message in comparison.failed.items()},
    }


def _dense(scores: Scores) -> dict[str, float]:
    cell = next(cell for cell in scores.finished if cell.criterion == "dense" and cell.heal == "none")
    return {column: scores.perplexity(cell, column) for column in scores.columns}


def _section(scores: Scores, plan: Plan, share: float) -> dict[str, Any]:
    ours = choose_ours(scores.finished, share, plan.seeds[0])
    groups = {
        PUBLISHED: [*published(), TYR],
        LEARNED: learned(),
        CANDIDATES: candidates(),
        REFITTED: same_reconstruction(),
        **{f"{ABLATION}, {part}": methods for part, methods in ablations().items()},
        **{f"healed on {data}": heal_methods(scores.finished, share, plan.seeds[0], data) for data in plan.heals},
    }
    rows = {name: [table_row(scores, method, share) for method in methods] for name, methods in groups.items()}
    first = next(iter(scores.columns))
    return {
        "share": share,
        "ours": None if ours is None else table_row(scores, ours, share),
        "groups": {
            name: sorted(
                (row for row in found if row is not None), key=lambda row: float(row["texts"][first]["rise"]["value"])
            )
            for name, found in rows.items()
        },
    }


def _verdicts(comparison: Comparison, plan: Plan, share: float) -> list[Verdict]:
    ours = choose_ours(comparison.finished, share, plan.seeds[0])
    return [] if ours is None else verdicts(comparison.scores, ours, published(), TYR, share)


def _healed(comparison: Comparison, plan: Plan, share: float, data: str) -> list[Healed]:
    ours = choose_ours(comparison.finished, share, plan.seeds[0])
    return [] if ours is None else healings(comparison.scores, ours, share, plan.seeds[0], data)


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {**asdict(verdict), "met": verdict.met}


def _sweep(comparison: Comparison, plan: Plan) -> list[dict[str, Any]]:
    """Points of figures 3 and 4: rate, perplexity and parameters of the method that was swept."""
    method = sweep_method(plan, comparison.finished)
    cells = [
        cell for cell in comparison.finished if cell.criterion == "dense" or replace(cell.method, heal="none") == method
    ]
    scores = comparison.scores
    return [
        {
            "method": cell.method.label,
            "heal": cell.heal,
            "share": cell.share,
            "parameters": comparison.finished[cell].parameters,
            "perplexity": {column: scores.perplexity(cell, column) for column in scores.columns},
        }
        for cell in sorted(cells, key=lambda cell: (cell.heal, cell.share))
        if cell.seed == plan.seeds[0] or cell.criterion == "dense"
    ]


def to_markdown(summary: Mapping[str, Any], title: str) -> str:
    """compare.md."""
    columns = summary["columns"]
    lines = [f"# {title}", "", NOTES, ""]
    lines += ["Dense: " + ", ".join(f"{name} {value:.2f}" for name, value in summary["dense"].items()), ""]
    lines += ["Documents: " + ", ".join(f"{name} {count}" for name, count in columns.items()), ""]
    lines += ["## Verdicts", "", *markdown_table(VERDICT_HEADER, verdict_cells(summary)), ""]
    lines += [*(f"* {line}" for line in verdict_lines(summary)), ""]
    for table in summary["tables"]:
        ours = table["ours"]
        for group, rows in table["groups"].items():
            shown = [ours, *rows] if ours is not None and group == PUBLISHED else rows
            body = [_marked(table_cells(row, summary), row is ours) for row in shown]
            lines += [f"## {table['share']:.0%} of the FFN neurons removed: {group}", ""]
            lines += [*markdown_table(table_header(summary), body), ""]
    lines += [f"* failed: {name} ({message})" for name, message in summary["failed"].items()]
    return "\n".join([*lines, ""])


def table_header(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Column heads of the long tables."""
    columns = list(summary["columns"])
    return ("method", *(f"Δ {name}" for name in columns), f"PPL {columns[0]}", "tuning", "parameters", "seeds")


def table_cells(row: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """One row of the long tables as strings, in the order of `table_header`."""
    texts = row["texts"]
    return [
        row["method"],
        *(_interval(texts[name]["rise"]) for name in summary["columns"]),
        f"{texts[next(iter(summary['columns']))]['perplexity']:.2f}",
        f"{row['tuning_loss']:.3f}",
        f"{row['parameters']:,}",
        str(len(row["seeds"])),
    ]


def _marked(cells: list[str], is_ours: bool) -> list[str]:
    return [f"**ours: {cells[0]}**", *cells[1:]] if is_ours else cells


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


VERDICT_HEADER = ("cut", "text", "against", "Δ ours", "Δ theirs", "difference", "ratio", "goal", "")


def verdict_cells(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each verdict in the order of VERDICT_HEADER; no ratio where the other's Δ is not clearly above zero."""
    return [
        (
            f"{item['share']:.0%}",
            item["column"],
            item["other"],
            *(_interval(item[name]) for name in ("rise", "other_rise", "difference")),
            "–" if item["ratio"] is None else _interval(item["ratio"]),
            "–" if item["goal"] is None else f"≤ {item['goal']}",
            _MET[item["met"]],
        )
        for item in summary["verdicts"]
    ]


_MET = {True: "met", False: "NOT met", None: "–"}


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """One line for each text's healing, and where the verdict is given if 50% costs too little to judge."""
    lines = []
    for item in summary["healing"]:
        goal = "" if item["goal"] is None else f" (goal ≤ {item['goal']}: {_MET[item['met']]})"
        lines.append(
            f"{item['share']:.0%}, {item['column']}, healed on {item['heal']}: ours has {item['ratio']:.2f} times the perplexity "
            f"of dense healed alike{goal}; {item['recovered']:.0%} of the loss rise is recovered"
        )
    if summary["judged_share"] is not None:
        lines.append(f"50% costs less than 0.1: judged at {summary['judged_share']:.0%}, where ours costs 0.3 or more")
    return lines


def to_csv(summary: Mapping[str, Any]) -> str:
    """compare.csv: one line for each method, rate and text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    fields = ("share", "group", "method", "text", "seeds", "parameters", "tuning_loss", "perplexity")
    writer.writerow((*fields, "rise", "rise_low", "rise_high", "rise_by_seed"))
    for table in summary["tables"]:
        for group, rows in table["groups"].items():
            for row in rows:
                for text, numbers in row["texts"].items():
                    writer.writerow(
                        (
                            table["share"],
                            group,
                            row["method"],
                            text,
                            len(row["seeds"]),
                            row["parameters"],
                            f"{row['tuning_loss']:.6f}",
                            f"{numbers['perplexity']:.6f}",
                            *(f"{numbers['rise'][bound]:.6f}" for bound in ("value", "low", "high")),
                            " ".join(f"{value:.6f}" for value in numbers["rise_by_seed"]),
                        )
                    )
    return stream.getvalue()


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """The tables of published baselines and the verdicts on the terminal; they fit 80 columns."""
    columns = [name for name in summary["columns"] if " " not in name]
    for table in summary["tables"]:
        ours = table["ours"]
        shown = Table(
            title=f"{table['share']:.0%} of FFN neurons removed, loss rise",
            box=box.SIMPLE,
            padding=(0, 1),
            pad_edge=False,
        )
        shown.add_column("method", no_wrap=True, max_width=30)
        for name in columns:
            shown.add_column(name, justify="right", no_wrap=True)
        for row in [*([ours] if ours is not None else []), *table["groups"][PUBLISHED]]:
            label = "ours" if row is ours else row["method"]
            shown.add_row(label, *(f"{row['texts'][name]['rise']['value']:.3f}" for name in columns))
        console.print(shown)
        if ours is not None:
            console.print(f"ours: {ours['method']}", highlight=False, markup=False)
    for line in short_verdicts(summary):
        console.print(line, highlight=False, markup=False)


def short_verdicts(summary: Mapping[str, Any]) -> Sequence[str]:
    """One line of at most 80 columns for each goal."""
    lines = []
    for item in summary["verdicts"]:
        if item["goal"] is not None and " " not in item["column"]:
            value = Estimate(**item["ratio"]) if item["ratio"] is not None else None
            shown = "–" if value is None else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"
            met = {True: "met", False: "NOT met", None: "open"}[item["met"]]
            name = f"{item['share']:.0%} {item['column']}, Δ over {item['other']}"
            lines.append(f"{name:<50.50} {shown:<18} ≤ {item['goal']} {met}")
    return lines

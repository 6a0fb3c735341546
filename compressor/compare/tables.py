"""The tables of a comparison: for people (Markdown) and for programs (CSV, JSON)."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from compressor.compare.bootstrap import CONFIDENCE, DRAWS
from compressor.compare.cell import FORMAT, dense_cell, read_missing
from compressor.compare.grid import (
    ATP,
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
from compressor.compare.summary import Healed, Scores, Standing, Verdict, healings, standing, table_row, verdicts
from compressor.report.tables import markdown_table

PUBLISHED, REFITTED = "published, native form", "the same reconstruction"
TRAINED = "published, trains weights too"
CANDIDATES, LEARNED, ABLATION = "forms of ours", "masks learned by back-propagation", "ablation"
NOTES = f"""\
Δ = ln PPL − ln PPL of the dense model, both over the same documents' tokens, mean over seeds; in brackets the
{CONFIDENCE:.0%} interval of a paired bootstrap over documents ({DRAWS} draws). "unseen" and "seen": documents that share no run
of 13 words with the training part, and those that do. Tuning loss is the only number that a choice was made on: "ours"
is the form of our pipeline with the lowest. `saliency` alone is the paper's criterion; `obs {OBS_ROUNDS} rounds + own` is
Týr's recipe without its evolutionary search; `wanda sequential` is scored on pruned inputs, `taylor llm-pruner` leaves the first
and last layers whole, both as published; `slicegpt` has the same total parameters, its rotations counted; `atp` trains weights
too and stands apart. So do masks learned by back-propagation: they are fitted to the loss on calibration text, which the
tuning text resembles, so that their tuning loss is low without their being near the dense model on other text. Shares are
those that are gone: widths come in blocks, and all methods keep the same number of neurons."""


def summarise(comparison: Comparison) -> dict[str, Any]:
    """Everything that the tables and figures show, as plain values: all finished cells of the folder."""
    scores, plan = comparison.scores, comparison.plan
    text = next(iter(scores.columns))
    judged = judged_share(plan, comparison.finished, lambda cell: scores.rise(cell, text))
    shares = sorted({*plan.shares, *([judged] if judged is not None else [])})
    cells = comparison.bench.job.out / "cells"
    return {
        "format": FORMAT,
        "column_order": list(scores.columns),
        "columns": {name: len(column.documents) for name, column in scores.columns.items()},
        "dense": {column: scores.perplexity(dense_cell(), column) for column in scores.columns},
        "tables": [_section(scores, plan, share) for share in shares],
        "verdicts": [_plain(verdict) for share in shares for verdict in _verdicts(scores, plan, share)],
        "standings": [asdict(found) for share in shares for found in _standings(scores, plan, share)],
        "healing": [
            _plain(item) for data in plan.heals for share in shares for item in _healed(scores, plan, share, data)
        ],
        "judged": None if judged is None else scores.removed(judged),
        "sweep": _sweep(comparison),
        "failed": read_missing(cells, "failed"),
        "left_out": read_missing(cells, "left_out"),
    }


def _section(scores: Scores, plan: Plan, share: float) -> dict[str, Any]:
    ours = choose_ours(scores.finished, share, plan.seeds[0])
    groups = {
        PUBLISHED: [*published(), TYR],
        TRAINED: [ATP],
        LEARNED: learned(),
        CANDIDATES: candidates(),
        REFITTED: same_reconstruction(),
        **(
            {f"{ABLATION}, {part}": methods for part, methods in ablations().items()}
            if share == plan.main_share
            else {}
        ),
        **{f"healed on {data}": heal_methods(scores.finished, share, plan.seeds[0], data) for data in plan.heals},
    }
    rows = {
        name: [row for method in methods if (row := table_row(scores, method, share)) is not None]
        for name, methods in groups.items()
    }
    first = next(iter(scores.columns))
    return {
        "share": share,
        "removed": scores.removed(share),
        "ours": None if ours is None else table_row(scores, ours, share),
        "groups": {
            name: sorted(found, key=lambda row: float(row["texts"][first]["rise"]["value"]))
            for name, found in rows.items()
            if found
        },
    }


def _verdicts(scores: Scores, plan: Plan, share: float) -> list[Verdict]:
    ours = choose_ours(scores.finished, share, plan.seeds[0])
    return [] if ours is None else verdicts(scores, ours, published(), TYR, share)


def _standings(scores: Scores, plan: Plan, share: float) -> list[Standing]:
    ours = choose_ours(scores.finished, share, plan.seeds[0])
    if ours is None:
        return []
    each = (standing(scores, ours, [*published(), TYR], ATP, share=share, column=name) for name in scores.columns)
    return [found for found in each if found is not None]


def _healed(scores: Scores, plan: Plan, share: float, data: str) -> list[Healed]:
    """Of every method that is healed, ours first."""
    seed = plan.seeds[0]
    ours = choose_ours(scores.finished, share, seed)
    methods = [replace(method, heal="none") for method in heal_methods(scores.finished, share, seed, data)]
    methods.sort(key=lambda method: method != ours)
    return [item for method in methods for item in healings(scores, method, share, seed, data, is_ours=method == ours)]


def _plain(item: Verdict | Healed) -> dict[str, Any]:
    return {**asdict(item), "met": item.met}


def _sweep(comparison: Comparison) -> list[dict[str, Any]]:
    """Points of figures 3 and 4: rate, perplexity and parameters of the method that was swept."""
    plan, scores = comparison.plan, comparison.scores
    method = sweep_method(plan, comparison.finished)
    cells = [
        cell for cell in comparison.finished if cell.criterion == "dense" or replace(cell.method, heal="none") == method
    ]
    return [
        {
            "method": cell.method.label,
            "heal": cell.heal,
            "share": cell.share,
            "removed": scores.removed(cell.share),
            "parameters": comparison.finished[cell].parameters,
            "perplexity": {column: scores.perplexity(cell, column) for column in scores.columns},
        }
        for cell in sorted(cells, key=lambda cell: (cell.heal, cell.share))
        if cell.seed == plan.seeds[0] or cell.criterion == "dense"
    ]


def percent(share: float) -> str:
    """A share with no more digits than it has, two at most: 50%, 68.75%."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def cut_label(table: Mapping[str, Any]) -> str:
    """The share that is gone, and the one that was asked for where widths in blocks cannot meet it."""
    removed, asked = percent(table["removed"]), percent(table["share"])
    return removed if removed == asked else f"{removed} ({asked} asked)"


def to_markdown(summary: Mapping[str, Any], title: str) -> str:
    """compare.md."""
    columns = summary["columns"]
    lines = [f"# {title}", "", NOTES, ""]
    lines += ["Dense: " + ", ".join(f"{name} {value:.2f}" for name, value in summary["dense"].items()), ""]
    lines += ["Documents: " + ", ".join(f"{name} {count}" for name, count in columns.items()), ""]
    lines += ["## Verdicts", "", *markdown_table(VERDICT_HEADER, verdict_cells(summary)), ""]
    if summary["healing"]:
        lines += ["## Healing", "", *markdown_table(HEALED_HEADER, healed_cells(summary)), ""]
    lines += [*(f"* {line}" for line in verdict_lines(summary)), ""]
    for table in summary["tables"]:
        ours = table["ours"]
        for group, rows in table["groups"].items():
            shown = [ours, *rows] if ours is not None and group == PUBLISHED else rows
            body = [_marked(table_cells(row, summary), row is ours) for row in shown]
            lines += [f"## {cut_label(table)} of the FFN neurons removed: {group}", ""]
            lines += [*markdown_table(table_header(summary), body), ""]
    lines += missing_lines(summary, "* ")
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
            cut_label(item),
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


HEALED_HEADER = ("cut", "text", "healed on", "method", "PPL / dense healed alike", "Δ recovered", "goal", "")


def healed_cells(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each healed method and text in the order of HEALED_HEADER, ours first."""
    return [
        (
            cut_label(item),
            item["column"],
            item["heal"],
            f"ours: {item['method']}" if item["is_ours"] else item["method"],
            f"{item['ratio']:.2f}",
            "–" if item["recovered"] is None else f"{item['recovered']:.0%}",
            "–" if item["goal"] is None else f"≤ {item['goal']}",
            _MET[item["met"]],
        )
        for item in summary["healing"]
    ]


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """Where ours stands among the baselines on each text, and where the verdict is given if 50% costs too little to judge."""
    lines = [f"{cut_label(item)}, {item['column']}: {standing_text(item)}" for item in summary["standings"]]
    if summary["judged"] is not None:
        lines.append(f"50% costs less than 0.1: judged at {percent(summary['judged'])}, where ours costs 0.3 or more")
    return lines


def standing_text(item: Mapping[str, Any]) -> str:
    """Below every baseline or not, without ATP and with it."""
    training = {True: "below ATP, which trains weights", False: "NOT below ATP, which trains weights", None: "no ATP"}
    below = "below every baseline" if item["below_baselines"] else "NOT below every baseline"
    return f"ours is {below}; {training[item['below_training']]}"


def missing_lines(summary: Mapping[str, Any], mark: str) -> list[str]:
    """One line for each cell without numbers, with its reason."""
    kinds = (("left out", summary["left_out"]), ("failed", summary["failed"]))
    return [f"{mark}{kind}: {name} ({message})" for kind, found in kinds for name, message in found.items()]


def to_csv(summary: Mapping[str, Any]) -> str:
    """compare.csv: one line for each method, rate and text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    fields = (
        "share_asked",
        "share_removed",
        "group",
        "method",
        "text",
        "seeds",
        "parameters",
        "tuning_loss",
        "perplexity",
    )
    writer.writerow((*fields, "rise", "rise_low", "rise_high", "rise_by_seed"))
    for table in summary["tables"]:
        for group, rows in table["groups"].items():
            for row in rows:
                for text, numbers in row["texts"].items():
                    writer.writerow(
                        (
                            table["share"],
                            f"{table['removed']:.6f}",
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

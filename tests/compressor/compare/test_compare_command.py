"""`bedside compare` on the tiny model: cells, tables, figures, resuming, failures."""

import csv
import io
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from transformers import LlamaForCausalLM
from typer.testing import CliRunner, Result

from compressor.cli import compare, compress, report
from compressor.compare.cell import (
    Cell,
    dense_cell,
    read_all,
    read_measured,
    read_missing,
    write_measured,
    write_missing,
)
from compressor.compare.grid import candidates
from compressor.compare.output import rate_curves, size_lines
from compressor.compare.terminal import print_summary, short_healings, short_standings, short_verdicts
from compressor.compare.texts import read_held_out
from compressor.errors import DeviceError, RunError
from compressor.tokens import ChatTokenizer
from models.errors import TextError

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
grounded_share = 0.0
[mask]
multiple = 32
steps = 2
evaluations = 1
[budget]
ffn_share = 0.5
[reconstruct]
ridge = [0.01, 0.1]
[heal]
data = "starter"
batch_rows = 4
steps = 2
tokens_per_row = 64
tuning_rows = 2
grounded_share = 0.0
[evaluate]
text = ["starter", "{text}"]
context_tokens = 64
"""


def app() -> typer.Typer:
    commands = typer.Typer()
    for command in (compare, compress, report):
        commands.command()(command)
    return commands


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    lines = [
        json.dumps({"id": str(number), "text": f"Note {number}: rest and drink water. " * 8}) for number in range(6)
    ]
    (folder / "own.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "small.toml").write_text(RECIPE.format(text=folder / "own.jsonl"), "utf-8")
    return folder


def run(model: Path, work: Path, out: Path, *more: str) -> Result:
    arguments = ["compare", str(model), "--recipe", str(work / "small.toml"), "--out", str(out), "--documents", "4"]
    options = ["--seeds", "2", "--shares", "0.5", "--heal", "starter", "--no-sweep", "--device", "cpu", *more]
    return CliRunner().invoke(app(), [*arguments, *options], catch_exceptions=False, env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def wider(tiny_folder: Path, work: Path) -> Path:
    """Two shares without healing, the second of which no width in blocks of 32 meets."""
    arguments = ["compare", str(tiny_folder), "--recipe", str(work / "small.toml"), "--out", str(work / "out")]
    options = ["--documents", "4", "--seeds", "2", "--shares", "0.5,0.67", "--no-sweep", "--device", "cpu"]
    result = CliRunner().invoke(app(), [*arguments, *options], catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    # One cell a share and seed: with two layers LLM-Pruner's allocation leaves none to prune.
    assert "cells left out: 4" in result.stderr
    return work / "out"


@pytest.fixture(scope="module")
def finished(wider: Path, tiny_folder: Path, work: Path) -> Path:
    """Continued in the same folder with healing at the first of the shares."""
    before = {path.name for path in (wider / "cells").iterdir()}
    result = run(tiny_folder, work, work / "out")
    assert result.exit_code == 0, result.output
    (work / "added").write_text("\n".join({path.name for path in (wider / "cells").iterdir()} - before), "utf-8")
    (work / "stdout").write_text(result.stdout, "utf-8")
    return work / "out"


def test_the_terminal_shows_every_baseline_in_80_columns(finished: Path, work: Path) -> None:
    shown = (work / "stdout").read_text("utf-8")
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "…" not in shown
    summary = json.loads((finished / "report" / "compare.json").read_text("utf-8"))
    for lines in (short_verdicts(summary), short_standings(summary), short_healings(summary)):
        assert lines
        assert max(len(line) for line in lines) <= 80
        assert all(line in shown for line in lines)
    for name in ("atp (trains weights)", "healed on starter", "75% (67% asked)", "wanda sequential"):
        assert name in shown
    for name in ("ours: ", "random", "magnitude-down", "wanda", "flap", "taylor", "slicegpt", "obs 16 rounds + own"):
        assert name in shown


def test_every_text_of_a_cell_is_that_of_transformers(finished: Path, work: Path, tiny_folder: Path) -> None:
    """The dense cell against transformers on the same rows, document by document."""
    dense = next(measured for measured in read_all(finished / "cells") if measured.cell.criterion == "dense")
    model = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    for text in ("starter", str(work / "own.jsonl")):
        rows = read_held_out(text, None, ChatTokenizer(tiny_folder), 4, 64).rows
        for ids, (nats, scored) in zip(rows, dense.losses[text], strict=True):
            with torch.inference_mode():
                expected = model(torch.tensor([ids]), labels=torch.tensor([ids])).loss
            assert nats / scored == pytest.approx(float(expected), abs=1e-4)
            assert scored == len(ids) - 1


def test_all_cells_of_a_share_have_the_same_budget(finished: Path) -> None:
    cells = [
        measured
        for measured in read_all(finished / "cells")
        if measured.cell.criterion not in {"dense", "slicegpt"} and measured.cell.share == 0.5
    ]
    assert {sum(measured.widths) for measured in cells} == {128}
    assert {measured.cell.allocation for measured in cells} >= {"sequential", "global", "search", "own"}
    (pruned,) = {measured.parameters for measured in cells if measured.cell.reconstruction != "bias"}
    sliced = next(measured for measured in read_all(finished / "cells") if measured.cell.criterion == "slicegpt")
    assert sliced.cell.share == 0.5
    assert 0.9 * pruned < sliced.parameters <= pruned


def test_tables_agree_and_are_complete(finished: Path) -> None:
    summary = json.loads((finished / "report" / "compare.json").read_text("utf-8"))
    table, rest = summary["tables"]
    rows = list(csv.DictReader((finished / "report" / "compare.csv").read_text("utf-8").splitlines()))
    groups = {row["group"] for row in rows}
    assert groups == set(table["groups"])
    assert {"published, native form", "the same reconstruction", "healed on starter"} <= groups
    ours = table["ours"]
    assert ours["seeds"] == rest["ours"]["seeds"] == [0, 1]
    assert [row["method"] for row in table["groups"]["published, trains weights too"]] == ["atp (trains weights)"]
    forms = [
        measured
        for measured in read_all(finished / "cells")
        if measured.cell.method in candidates() and measured.cell.share == 0.5
    ]
    lowest = min((measured for measured in forms if measured.cell.seed == 0), key=lambda measured: measured.tuning_loss)
    assert ours["method"] == lowest.cell.method.label
    assert {item["other"] for item in summary["verdicts"]} >= {"obs 16 rounds + own"}
    assert {item["heal"] for item in summary["healing"]} == {"starter"}
    markdown = (finished / "report" / "compare.md").read_text("utf-8")
    assert f"**ours: {ours['method']}**" in markdown
    assert str(finished) not in markdown


def test_shares_are_those_that_are_gone(finished: Path) -> None:
    """67% of two layers of 128 in blocks of 32: one block each is left."""
    rows = list(csv.DictReader((finished / "report" / "compare.csv").read_text("utf-8").splitlines()))
    assert {(row["share_asked"], float(row["share_removed"])) for row in rows} == {("0.5", 0.5), ("0.67", 0.75)}
    markdown = (finished / "report" / "compare.md").read_text("utf-8")
    assert "## 75% (67% asked) of the FFN neurons removed: published" in markdown
    assert "## 50% of the FFN neurons removed: published" in markdown
    summary = json.loads((finished / "report" / "compare.json").read_text("utf-8"))
    assert {point["removed"] for point in summary["sweep"]} == {0.0, 0.5, 0.75}
    for curve in rate_curves(summary)["starter"]:
        assert curve.shares == ((0.0, 0.5, 0.75) if curve.label == "no healing" else (0.0, 0.5))


def test_healing_is_added_to_what_is_there_and_shown_with_it(finished: Path, work: Path) -> None:
    added = (work / "added").read_text("utf-8").splitlines()
    assert added
    assert all("heal-starter" in name for name in added)
    summary = json.loads((finished / "report" / "compare.json").read_text("utf-8"))
    assert [table["share"] for table in summary["tables"]] == [0.5, 0.67]
    assert len(summary["tables"][0]["groups"]["healed on starter"]) > 8
    ours = [item for item in summary["healing"] if item["is_ours"]]
    assert {item["goal"] for item in ours} == {1.6}
    assert {item["share"] for item in summary["healing"]} == {0.5}
    cells = {measured.cell: measured for measured in read_all(finished / "cells")}
    (healed,) = [
        measured
        for cell, measured in cells.items()
        if cell.heal == "starter" and cell.seed == 0 and cell.method.label.startswith(ours[0]["method"] + ", healed")
    ]
    first = next(item for item in ours if item["column"] == "starter")

    def loss(cell: Cell) -> float:
        rows = cells[cell].losses["starter"]
        return sum(nats for nats, _ in rows) / sum(count for _, count in rows)

    plain = replace(healed.cell, heal="none")
    assert first["ratio"] == pytest.approx(math.exp(loss(healed.cell) - loss(dense_cell("starter"))))
    left = loss(healed.cell) - loss(dense_cell("starter"))
    if loss(plain) > loss(dense_cell()):
        assert first["recovered"] == pytest.approx(1 - left / (loss(plain) - loss(dense_cell())))
    else:
        assert first["recovered"] is None


def test_an_allocation_that_cannot_be_had_is_left_out_with_its_reason(finished: Path) -> None:
    markdown = (finished / "report" / "compare.md").read_text("utf-8")
    assert "* left out: taylor-llm-pruner-none-rounds1-heal-none-share0.5000-seed0 (keeping 128 of 256" in markdown
    assert "* failed" not in markdown
    assert "left out: taylor-llm-pruner" in (finished / "report" / "index.html").read_text("utf-8")


def test_report_prints_the_tables_again(finished: Path, work: Path) -> None:
    again = CliRunner().invoke(app(), ["report", str(finished)], catch_exceptions=False, env={"COLUMNS": "80"})
    assert again.exit_code == 0
    assert again.stdout == (work / "stdout").read_text("utf-8")


def test_a_report_needs_a_comparison_that_came_to_its_end(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((finished / "manifest.json").read_bytes())
    with pytest.raises(RunError, match="is not finished; run the same bedside compare"):
        CliRunner().invoke(app(), ["report", str(tmp_path)], catch_exceptions=False)


def test_text_that_cannot_be_healed_on_ends_the_command(work: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """Not one failed cell for every method: none of them could be healed."""
    content = RECIPE.format(text="starter").replace(
        "grounded_share = 0.0\n[evaluate]", "grounded_share = 0.5\n[evaluate]"
    )
    (tmp_path / "small.toml").write_text(content, "utf-8")
    with pytest.raises(TextError, match="holds 0 grounded examples"):
        run(tiny_folder, tmp_path, tmp_path / "out")


def test_tables_without_rows_are_left_out_and_ablations_stand_at_the_main_share(finished: Path) -> None:
    tables = json.loads((finished / "report" / "compare.json").read_text("utf-8"))["tables"]
    assert all(rows for table in tables for rows in table["groups"].values())
    assert [any(name.startswith("ablation") for name in table["groups"]) for table in tables] == [True, False]


def test_figure_and_tables_without_the_methods_that_a_share_lacks(finished: Path) -> None:
    """At the share of the verdict ATP is not measured."""
    summary = json.loads((finished / "report" / "compare.json").read_text("utf-8"))
    del summary["tables"][1]["groups"]["published, trains weights too"]
    (line,) = [line for line in size_lines(summary, "starter") if line.label.startswith("atp")]
    assert len(line.points) == 1
    screen = io.StringIO()
    print_summary(summary, Console(file=screen, width=80))
    assert screen.getvalue().count("atp (trains weights)") == 1


def test_compress_leaves_a_comparison_alone(finished: Path, work: Path, tiny_folder: Path) -> None:
    arguments = ["compress", str(tiny_folder), "--recipe", str(work / "small.toml"), "--out", str(finished)]
    with pytest.raises(RunError, match="holds a comparison of bedside compare; choose another --out"):
        CliRunner().invoke(app(), arguments, catch_exceptions=False)


def test_compare_leaves_a_run_alone(work: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"model": {"name": "m"}, "recipe": {"name": "r"}, "stages": {}}', "utf-8")
    with pytest.raises(RunError, match="holds a run of bedside compress; choose another --out"):
        run(tiny_folder, work, tmp_path)


def test_the_page_holds_its_figures_and_fetches_nothing(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text("utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for name in ("figure-1.svg", "figure-1.png"):
        assert (finished / "report" / name).stat().st_size > 5_000


def test_a_second_run_measures_nothing_and_gives_the_same_report(finished: Path, work: Path, tiny_folder: Path) -> None:
    before = {path: path.read_bytes() for path in (finished / "report").iterdir()}
    # What was left out is tried again: another machine may have the memory.
    times = {path: path.stat().st_mtime_ns for path in (finished / "cells").iterdir() if "llm-pruner" not in path.name}
    assert run(tiny_folder, work, finished).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert {path: path.read_bytes() for path in (finished / "report").iterdir()} == before


def test_a_cell_that_was_lost_is_measured_again_to_the_same_numbers(
    finished: Path, work: Path, tiny_folder: Path
) -> None:
    path = next((finished / "cells").glob("obs-exact-uniform-dense-rounds16-heal-none-share0.5000-seed0.json"))
    cell = Cell(**json.loads(path.read_text("utf-8"))["cell"])
    before = read_measured(finished / "cells", cell)
    path.write_text("{", "utf-8")
    assert run(tiny_folder, work, finished).exit_code == 0
    after = read_measured(finished / "cells", cell)
    assert before is not None
    assert after is not None
    assert (after.losses, after.tuning_loss, after.widths) == (before.losses, before.tuning_loss, before.widths)


def test_a_failing_cell_is_recorded_and_stops_no_other(finished: Path, work: Path, tiny_folder: Path) -> None:
    path = next((finished / "cells").glob("taylor-uniform-none-*heal-none-share0.5000-seed1.json"))
    cell = Cell(**json.loads(path.read_text("utf-8"))["cell"])
    kept = read_measured(finished / "cells", cell)
    assert kept is not None
    path.unlink()
    obstacle = finished / "work" / cell.name
    obstacle.write_text("in the way of the cell's folder", "utf-8")
    result = run(tiny_folder, work, finished)
    assert result.exit_code == 1
    assert "cells that failed: 1" in result.stderr
    assert "failed" in json.loads(path.read_text("utf-8"))
    assert "failed: taylor" in (finished / "report" / "compare.md").read_text("utf-8")
    obstacle.unlink()
    # What the seed keeps between cells is made again where it is damaged.
    (finished / "seeds" / "1" / "scores-taylor.safetensors").write_bytes(b"damaged")
    assert run(tiny_folder, work, finished).exit_code == 0
    assert "failed: taylor" not in (finished / "report" / "compare.md").read_text("utf-8")
    again = read_measured(finished / "cells", cell)
    assert again is not None
    assert again.losses == kept.losses


def test_a_folder_holds_one_comparison(finished: Path, work: Path, tiny_folder: Path) -> None:
    with pytest.raises(RunError, match="another documents; choose another --out"):
        run(tiny_folder, work, finished, "--documents", "3")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "format", "device", "starter train", "own.jsonl"])
def test_cells_of_another_fingerprint_are_refused(
    name: str, finished: Path, work: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """A changed file of the model or a text that a cell was measured with, other code, another kind of machine."""
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(tiny_folder, model)
    shutil.copytree(finished, out, ignore=shutil.ignore_patterns("seeds", "work"))
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    known = manifest["comparison"]
    if name.endswith("json"):
        (model / name).write_text((model / name).read_text("utf-8") + "\n", "utf-8")
        says = "another model;"
    elif name in known:
        known[name] = "other"
        says = f"another {name};"
    else:
        (text,) = [text for text in known["text"] if name in text]
        known["text"][text] = "other"
        says = re.escape(f"another text ({text})")
    (out / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(RunError, match=says):
        run(model, work, out)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to use")
def test_a_gpu_that_is_not_there_is_one_line(work: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="--device cuda finds no usable GPU"):
        run(tiny_folder, work, tmp_path / "out", "--device", "cuda")


@pytest.mark.parametrize("shares", ["half", "0.5,1.5"])
def test_shares_that_are_none_are_refused(shares: str, work: Path, tiny_folder: Path, tmp_path: Path) -> None:
    result = run(tiny_folder, work, tmp_path / "out", "--shares", shares)
    assert result.exit_code == 2
    assert shares in result.output
    assert not (tmp_path / "out").exists()


def test_a_failure_is_never_read_as_a_result(tmp_path: Path, finished: Path) -> None:
    measured = read_all(finished / "cells")[0]
    write_measured(tmp_path, measured)
    assert read_measured(tmp_path, measured.cell) == measured
    write_missing(tmp_path, measured.cell, "left_out", "why")
    assert read_missing(tmp_path, "left_out") == {measured.cell.name: "why"}
    assert read_missing(tmp_path, "failed") == {}
    assert read_measured(tmp_path, measured.cell) is None
    assert read_all(tmp_path) == []

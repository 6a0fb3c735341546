"""`bedside compare` on the tiny model: cells, tables, figures, resuming, failures."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
import typer
from transformers import LlamaForCausalLM
from typer.testing import CliRunner, Result

from compressor.cli import compare
from compressor.compare.cell import Cell, read_all, read_measured, write_failure, write_measured
from compressor.compare.grid import candidates
from compressor.compare.texts import read_held_out
from compressor.errors import RunError
from compressor.tokens import ChatTokenizer

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
    commands.command()(compare)
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
    arguments = [str(model), "--recipe", str(work / "small.toml"), "--out", str(out), "--documents", "4"]
    options = ["--seeds", "2", "--shares", "0.5", "--heal", "starter", "--no-sweep", *more]
    return CliRunner().invoke(app(), [*arguments, *options], catch_exceptions=False, env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def finished(tiny_folder: Path, work: Path) -> Path:
    result = run(tiny_folder, work, work / "out")
    assert result.exit_code == 0, result.output
    (work / "stdout").write_text(result.stdout, "utf-8")
    return work / "out"


def test_the_terminal_shows_every_baseline_in_80_columns(finished: Path, work: Path) -> None:
    shown = (work / "stdout").read_text("utf-8")
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "…" not in shown
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
        measured for measured in read_all(finished / "cells") if measured.cell.criterion not in {"dense", "slicegpt"}
    ]
    assert {sum(measured.widths) for measured in cells} == {128}
    (pruned,) = {measured.parameters for measured in cells if measured.cell.reconstruction != "bias"}
    sliced = next(measured for measured in read_all(finished / "cells") if measured.cell.criterion == "slicegpt")
    assert 0.9 * pruned < sliced.parameters <= pruned


def test_tables_agree_and_are_complete(finished: Path) -> None:
    summary = json.loads((finished / "report" / "compare.json").read_text("utf-8"))
    (table,) = summary["tables"]
    rows = list(csv.DictReader((finished / "report" / "compare.csv").read_text("utf-8").splitlines()))
    groups = {row["group"] for row in rows}
    assert groups == set(table["groups"])
    assert {"published, native form", "the same reconstruction", "healed on starter"} <= groups
    ours = table["ours"]
    assert ours["seeds"] == [0, 1]
    forms = [measured for measured in read_all(finished / "cells") if measured.cell.method in candidates()]
    lowest = min((measured for measured in forms if measured.cell.seed == 0), key=lambda measured: measured.tuning_loss)
    assert ours["method"] == lowest.cell.method.label
    assert {item["other"] for item in summary["verdicts"]} >= {"obs 16 rounds + own"}
    assert {item["heal"] for item in summary["healing"]} == {"starter"}
    markdown = (finished / "report" / "compare.md").read_text("utf-8")
    assert f"**ours: {ours['method']}**" in markdown
    assert str(finished) not in markdown


def test_the_page_holds_its_figures_and_fetches_nothing(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text("utf-8")
    assert page.count("data:image/svg+xml;base64,") == 1
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for name in ("figure-1.svg", "figure-1.png"):
        assert (finished / "report" / name).stat().st_size > 5_000


def test_a_second_run_measures_nothing_and_gives_the_same_report(finished: Path, work: Path, tiny_folder: Path) -> None:
    before = {path: path.read_bytes() for path in (finished / "report").iterdir()}
    times = {path: path.stat().st_mtime_ns for path in (finished / "cells").iterdir()}
    assert run(tiny_folder, work, finished).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (finished / "cells").iterdir()} == times
    assert {path: path.read_bytes() for path in (finished / "report").iterdir()} == before


def test_a_cell_that_was_lost_is_measured_again_to_the_same_numbers(
    finished: Path, work: Path, tiny_folder: Path
) -> None:
    path = next((finished / "cells").glob("obs-exact-uniform-dense-rounds16-heal-none*seed0.json"))
    cell = Cell(**json.loads(path.read_text("utf-8"))["cell"])
    before = read_measured(finished / "cells", cell)
    path.write_text("{", "utf-8")
    assert run(tiny_folder, work, finished).exit_code == 0
    after = read_measured(finished / "cells", cell)
    assert before is not None
    assert after is not None
    assert (after.losses, after.tuning_loss, after.widths) == (before.losses, before.tuning_loss, before.widths)


def test_a_failing_cell_is_recorded_and_stops_no_other(finished: Path, work: Path, tiny_folder: Path) -> None:
    path = next((finished / "cells").glob("taylor-uniform-none-*heal-none*seed1.json"))
    cell = Cell(**json.loads(path.read_text("utf-8"))["cell"])
    kept = read_measured(finished / "cells", cell)
    assert kept is not None
    path.unlink()
    (finished / "seeds" / "1" / "scores-taylor.safetensors").write_bytes(b"damaged")
    result = run(tiny_folder, work, finished)
    assert result.exit_code == 1
    assert "cells that failed: 1" in result.stderr
    assert "error" in json.loads(path.read_text("utf-8"))
    assert "failed: taylor" in (finished / "report" / "compare.md").read_text("utf-8")
    (finished / "seeds" / "1" / "scores-taylor.safetensors").unlink()
    assert run(tiny_folder, work, finished).exit_code == 0
    again = read_measured(finished / "cells", cell)
    assert again is not None
    assert again.losses == kept.losses


def test_a_folder_holds_one_comparison(finished: Path, work: Path, tiny_folder: Path) -> None:
    with pytest.raises(RunError, match="another documents; choose another --out"):
        run(tiny_folder, work, finished, "--documents", "3")


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
    write_failure(tmp_path, measured.cell, "why")
    assert read_measured(tmp_path, measured.cell) is None
    assert read_all(tmp_path) == []

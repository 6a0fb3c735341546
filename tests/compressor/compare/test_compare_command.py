"""`bedside compare` on the tiny model: cells, tables, resuming, failures."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from compressor.cli import compare

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
grounded_share = 0.0
[mask]
multiple = 32
[budget]
ffn_share = 0.5
[reconstruct]
ridge = [0.01, 0.1]
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
    options = ["--seeds", "2", "--shares", "0.5", "--no-sweep", *more]
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
    for name in ("ours: ", "random", "magnitude-down", "wanda", "flap", "taylor", "slicegpt", "obs 16 rounds + own"):
        assert name in shown

"""`bedside compress` and `bedside report` as commands: output, exit status, Ctrl-C."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from compressor.cli import compress, report
from compressor.errors import RunError
from models.errors import BedsideError

pytestmark = pytest.mark.usefixtures("one_core")

RECIPE = """
[calibrate]
samples = {samples}
tokens_per_sample = 64
grounded_share = 0.9
[mask]
multiple = 32
[budget]
ffn_share = 0.5
[evaluate]
documents = 1
context_tokens = 64
"""


def app() -> typer.Typer:
    commands = typer.Typer()
    commands.command()(compress)
    commands.command()(report)
    return commands


def recipe(work: Path, samples: int = 8) -> str:
    (work / "quick.toml").write_text(RECIPE.format(samples=samples), "utf-8")
    return str(work / "quick.toml")


def test_a_run_prints_its_table_and_report_prints_it_again(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["compress", str(tiny_folder), "--recipe", recipe(tmp_path), "--out", str(out)]
    result = CliRunner().invoke(app(), arguments, catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert "…" not in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    for row in ("pruned F16", "pruned Q4_0", "perplexity", "bits/byte"):
        assert row in result.stdout
    assert "dense F16" not in result.stdout
    assert {path.name for path in (out / "gguf").iterdir()} == {"tiny-quick-f16.gguf", "tiny-quick-q4_0.gguf"}
    before = (out / "report" / "report.md").read_text("utf-8")
    (out / "report" / "report.md").unlink()
    again = CliRunner().invoke(app(), ["report", str(out)], catch_exceptions=False)
    assert again.exit_code == 0
    assert "pruned Q4_0" in again.stdout
    assert (out / "report" / "report.md").read_text("utf-8") == before


@pytest.mark.parametrize("model", ["no-such-model", "no/such/folder"])
def test_an_unknown_model_is_one_line(model: str, tmp_path: Path) -> None:
    with pytest.raises(BedsideError) as caught:
        CliRunner().invoke(
            app(), ["compress", model, "--recipe", "reference-50", "--out", str(tmp_path)], catch_exceptions=False
        )
    assert model in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_report_needs_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        CliRunner().invoke(app(), ["report", str(tmp_path)], catch_exceptions=False)
    content = {"stages": {}, "model": {"name": "x"}, "recipe": {"name": "y"}}
    (tmp_path / "manifest.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(RunError, match="not finished"):
        CliRunner().invoke(app(), ["report", str(tmp_path)], catch_exceptions=False)


def test_the_command_module_is_light() -> None:
    code = "import sys, compressor.cli; print([m for m in ('torch', 'transformers', 'pydantic') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


COMMAND = "import typer; from tests.compressor.test_compress_command import app; app()()"


def test_ctrl_c_says_how_to_continue(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["compress", str(tiny_folder), "--recipe", recipe(tmp_path, 4000), "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 120
    while not (out / "stages" / "01-calibrate" / "key").is_file():
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "interrupted; run the same command to continue"
    assert "Traceback" not in said
    assert not list(out.glob("**/*.partial"))

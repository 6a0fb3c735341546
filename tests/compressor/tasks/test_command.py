"""`bedside evaluate` and the evaluate stage on a tiny model."""

import json
import math
from pathlib import Path

import pytest
import torch
import typer
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

from compressor.errors import RecipeError
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.recipe.load import load_recipe
from compressor.report.tables import to_markdown
from compressor.stages.evaluate import evaluate_inputs
from compressor.tasks.command import evaluate
from compressor.text import read_source
from compressor.tokens import ChatTokenizer
from models.errors import BedsideError, TextError
from tests.compressor.runs import Silent
from tests.compressor.tasks.questions import write_benchmarks

pytestmark = pytest.mark.usefixtures("one_core")

TEXT = "Fever is a sign of infection.\n\nCough is another one; both need a look at the patient."
RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[mask]
multiple = 32
[budget]
ffn_share = 0.5
[export]
dense = true
[evaluate]
documents = 1
context_tokens = 64
tasks = ["pubmedqa", "retention"]
explanations = 1
answers = 1
citations = 1
"""


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("suffix", ["txt", "md"])
def test_perplexity_of_a_text_file_on_a_checkpoint(tiny_folder: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"own.{suffix}"
    path.write_text(TEXT, "utf-8")
    (row,) = json.loads(run(str(tiny_folder), "--text", str(path), "--window", "512", "--json"))["rows"]
    ids = torch.tensor([[0, *ChatTokenizer(tiny_folder).text(TEXT)]])
    with torch.inference_mode():
        loss = float(LlamaForCausalLM.from_pretrained(tiny_folder).eval()(ids, labels=ids).loss)
    score = row["texts"][str(path)]
    assert score["hf_stride"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert score["bits_per_byte"] == pytest.approx(
        loss * (ids.shape[1] - 1) / math.log(2) / len(TEXT.encode()), rel=1e-4
    )
    assert score["llama_cpp_chunk"] is None


def test_tables_compare_with_dense(tiny_folder: Path, tmp_path: Path) -> None:
    data = write_benchmarks(tmp_path / "data")
    shown = run(
        str(tiny_folder), "--dense", str(tiny_folder), "--tasks", "pubmedqa,retention", "--data", str(data),
        "--text", "starter", "--limit", "2", "--errors", str(tmp_path / "errors"), "--window", "64",
    )  # fmt: skip
    for part in ("pubmedqa, 2 questions", "retention, 2 questions", "always yes", "verdict", "bits/byte"):
        assert part in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert {path.name for path in (tmp_path / "errors" / "items").iterdir()} == {
        "dense-pubmedqa.jsonl", "dense-retention.jsonl", "model-pubmedqa.jsonl", "model-retention.jsonl",
    }  # fmt: skip


def test_nothing_to_measure_and_a_used_folder_are_usage_errors(tiny_folder: Path, tmp_path: Path) -> None:
    """Answers kept for one model must not be taken for another's."""
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, [str(tiny_folder)])
    assert result.exit_code == 2
    assert "--tasks" in result.output
    (tmp_path / "items").mkdir()
    result = CliRunner().invoke(app, [str(tiny_folder), "--text", "starter", "--errors", str(tmp_path)])
    assert result.exit_code == 2
    assert "new folder" in " ".join(result.output.split())


def test_the_stage_asks_every_file(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.toml").write_text(RECIPE, "utf-8")
    data, out = write_benchmarks(tmp_path / "data"), tmp_path / "run"
    loaded = load_recipe(str(tmp_path / "asked.toml"))
    with pytest.raises(TextError, match="--data DIR"):
        run_job(open_job("tiny", tiny_folder, loaded, out=tmp_path / "no", data=None, reporter=Silent()))
    manifest = run_job(open_job("tiny", tiny_folder, loaded, out=out, data=data, reporter=Silent()))
    record = manifest["stages"]["09-evaluate"]
    assert record["facts"]["published"] == []
    for row in record["facts"]["rows"]:
        assert set(row["tasks"]) == {"pubmedqa", "retention"}
        assert row["tasks"]["retention"]["items"] == 16
        assert set(row["generation"]) == {"starter", "pubmedqa", "retention"}
        assert row["citations"]["questions"] == 1
    assert {Path(file["path"]).parent.name for file in record["files"]} == {"09-evaluate", "items", "errors"}
    report = json.loads((out / "report" / "report.json").read_text("utf-8"))
    for title in ("pubmedqa, 8 questions", "Answers in words", "Citations, MedQuAD"):
        assert f"## {title}" in to_markdown(report)


def test_the_stage_is_keyed_by_the_corpora_behind_citations_and_answers(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.toml").write_text(RECIPE, "utf-8")
    own, data = tmp_path / "own.txt", write_benchmarks(tmp_path / "data")
    own.write_text(TEXT, "utf-8")
    name, recipe = load_recipe(str(tmp_path / "asked.toml"))
    measured = recipe.evaluate.model_copy(update={"text": (str(own),), "tasks": ()})
    loaded = name, recipe.model_copy(update={"evaluate": measured})
    job = open_job("tiny", tiny_folder, loaded, out=tmp_path / "run", data=data, reporter=Silent())
    before = evaluate_inputs(job)["text"]
    assert set(before) == {str(own), "medquad", "starter"}
    for learnt, asked, told in (
        (data / "medquad" / "valid.jsonl.gz", measured, "measured on \\(citations\\)"),
        (data / "medquad" / "valid.jsonl.gz", recipe.evaluate.model_copy(update={"citations": None}), r"\(retention\)"),
    ):
        calibrate = recipe.calibrate.model_copy(update={"text": {str(learnt): 1.0}})
        leaking = recipe.model_copy(update={"evaluate": asked, "calibrate": calibrate})
        job = open_job("tiny", tiny_folder, (name, leaking), out=tmp_path / "other", data=data, reporter=Silent())
        with pytest.raises(RecipeError, match=told):
            evaluate_inputs(job)
    job = open_job("tiny", tiny_folder, loaded, out=tmp_path / "run", data=data, reporter=Silent())
    write_benchmarks(data, count=7)
    after = evaluate_inputs(job)["text"]
    assert {source for source in before if before[source] != after[source]} == {"medquad"}


@pytest.mark.parametrize(
    "case",
    [
        ("own.txt", b"", "--text", "is empty"),
        ("own.txt", b"\xc2\xff\x00", "--text", "line 1 is not UTF-8"),
        ("own.jsonl", None, "--tasks", "own.jsonl is missing"),
        ("own.jsonl", b"", "--tasks", "holds no question"),
        ("own.gguf", None, "--dense", "own.gguf does not exist"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(tmp_path: Path, case: tuple[str, bytes | None, str, str]) -> None:
    """The models' files as well; a file that is there and cannot be used needs no model."""
    name, content, option, says = case
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BedsideError, match=says) as caught:
        run("reference", "--text", "starter", option, str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_an_empty_text_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(" \n", "utf-8")
    with pytest.raises(TextError, match="is empty"):
        read_source(str(path), None, "valid")

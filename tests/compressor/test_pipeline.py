"""The whole pipeline on a tiny model: files, skipping, resuming after SIGKILL, budgets, and what it refuses."""

import fcntl
import json
import math
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.errors import BudgetError, FamilyError, QuantizationError, RunError
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.quantize import check_types
from compressor.recipe.load import load_recipe
from compressor.tokens import ChatTokenizer
from models.errors import StorageError, TextError
from models.gguf_header import read_header
from models.starter import split_notes
from tests.compressor.runs import RECIPE, Silent, compress, file_size_limit, hashes
from tests.compressor.tiny import make_model

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run", copy_function=shutil.copy2))


def test_the_run_folder_holds_what_the_design_names(finished: Path) -> None:
    assert sorted(path.name for path in (finished / "gguf").iterdir()) == [
        "dense-f16.gguf",
        "reference-small-f16.gguf",
        "reference-small-q4_0.gguf",
    ]
    assert (finished / "hf" / "config.json").is_file()
    figures = {f"{name}.{suffix}" for name in ("size-starter", "widths") for suffix in ("svg", "png")}
    tables = {"index.html", "report.md", "report.json", "report.csv", "quantization.csv"}
    assert {path.name for path in (finished / "report").iterdir()} == tables | figures
    manifest = json.loads((finished / "manifest.json").read_text("utf-8"))
    assert list(manifest["stages"]) == [
        "01-calibrate", "02-saliency", "03-mask", "04-prune",
        "05-reconstruct", "07-export", "08-quantize", "09-evaluate",
    ]  # fmt: skip
    for name, record in manifest["stages"].items():
        assert (finished / "stages" / name / "manifest.json").is_file()
        assert record["wall_s"] >= 0
        assert record["peak_memory_bytes"] > 50e6
        assert {"torch", "python", "llama-cpp-python"} <= set(record["versions"])


def test_files_and_facts_agree(finished: Path) -> None:
    report = json.loads((finished / "report" / "report.json").read_text("utf-8"))
    dense, pruned, quantized = report["rows"]
    assert [row["label"] for row in report["rows"]] == ["dense F16", "pruned F16", "pruned Q4_0"]
    assert dense["parameters"] - pruned["parameters"] == 2 * 64 * 3 * 64
    assert (dense["ffn_share_removed"], quantized["ffn_share_removed"]) == (0.0, 0.5)
    assert quantized["bytes"] == (finished / "gguf" / "reference-small-q4_0.gguf").stat().st_size < pruned["bytes"]
    for row in report["rows"]:
        score = row["texts"]["starter"]
        assert score["hf_stride"] > 1
        assert score["bits_per_byte"] > 0
        assert row["decode_tokens_per_s"] > 0
    header = read_header(finished / "gguf" / "reference-small-q4_0.gguf")
    assert header.ffn_widths == (64, 64)
    assert {tensor.type_name for tensor in header.tensors if "ffn_" in tensor.name and "norm" not in tensor.name} == {
        "Q4_0"
    }
    model = LlamaForCausalLM.from_pretrained(finished / "hf")
    assert model.num_parameters() == pruned["parameters"]


def test_nothing_of_the_machine_is_in_the_files(finished: Path) -> None:
    for path in (finished / "gguf").iterdir():
        content = path.read_bytes()
        for secret in (str(finished), finished.parent.name, f"@{os.uname().nodename}", time.strftime("%Y-%m-%d")):
            assert secret.encode() not in content


def test_a_second_run_keeps_every_stage(tiny_folder: Path, run: Path, tmp_path: Path) -> None:
    before = hashes(run)
    _, said = compress(tiny_folder, tmp_path, run)
    assert [line for line in said if "kept" in line] == said
    assert len(said) == 8
    assert hashes(run) == before


def test_a_changed_budget_runs_again_from_the_mask_on(tiny_folder: Path, run: Path, tmp_path: Path) -> None:
    _, said = compress(tiny_folder, tmp_path, run, budget="ffn_share = 0.7")
    assert [line.split(":")[0] for line in said if "kept" in line] == ["01-calibrate", "02-saliency"]
    assert read_header(run / "gguf" / "reference-small-q4_0.gguf").ffn_widths == (32, 32)


def test_a_damaged_file_is_made_again(tiny_folder: Path, run: Path, tmp_path: Path) -> None:
    before = hashes(run)
    path = run / "stages" / "04-prune" / "layer-001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    _, said = compress(tiny_folder, tmp_path, run)
    kept = [line.split(":")[0] for line in said if "kept" in line]
    assert "04-prune" not in kept
    assert "09-evaluate" in kept
    assert hashes(run) == before


def test_a_changed_model_runs_everything_again(run: Path, tmp_path: Path) -> None:
    make_model(tmp_path / "other", seed=5)
    before = hashes(run)
    _, said = compress(tmp_path / "other", tmp_path, run)
    assert not any("kept" in line for line in said)
    assert hashes(run).keys() == before.keys()
    assert all(hashes(run)[name] != before[name] for name in before if "rows" not in name and "kept" not in name)


@pytest.mark.parametrize("name", ["generation_config.json", "LICENSE.txt", "vocab.json"])
def test_hf_never_keeps_a_stale_copy(tiny_folder: Path, run: Path, tmp_path: Path, name: str) -> None:
    model = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    (model / name).write_text('{"do_sample": true}', "utf-8")
    compress(model, tmp_path, run)
    assert (run / "hf" / name).read_bytes() == (model / name).read_bytes()


def test_a_folder_keeps_the_run_of_one_recipe(tiny_folder: Path, run: Path, tmp_path: Path) -> None:
    before = hashes(run)
    (tmp_path / "other.toml").write_text(RECIPE.format(budget="ffn_share = 0.7", method="uniform"), "utf-8")
    other = load_recipe(str(tmp_path / "other.toml"))
    with pytest.raises(RunError, match="holds the run of reference by recipe small; choose another --out"):
        run_job(open_job("reference", tiny_folder, other, out=run, data=None, reporter=Silent()))
    assert hashes(run) == before
    assert (run / "report").is_dir()


def test_a_report_never_outlives_its_files(tiny_folder: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError), file_size_limit(60_000):
        compress(tiny_folder, tmp_path, run, budget="ffn_share = 0.7")
    assert not (run / "report").exists()


def test_a_folder_in_use_is_refused(tiny_folder: Path, run: Path, tmp_path: Path) -> None:
    with (run / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another run is using"):
            compress(tiny_folder, tmp_path, run)


def test_a_folder_with_other_files_is_left_alone(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(RunError, match=r"thesis\.txt"):
        compress(tiny_folder, tmp_path, tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]


def test_an_out_folder_that_cannot_be_made_is_one_line(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StorageError, match=r"file/run cannot be read or written"):
        compress(tiny_folder, tmp_path, tmp_path / "file" / "run")


@pytest.mark.parametrize("method", ["uniform", "global"])
def test_a_budget_in_bytes_is_met_and_nearly_used(tiny_folder: Path, tmp_path: Path, method: str) -> None:
    limit = 82_000
    manifest, _ = compress(tiny_folder, tmp_path, tmp_path / "run", f"bytes = {limit}", method)
    size = (tmp_path / "run" / "gguf" / "reference-small-q4_0.gguf").stat().st_size
    step = 32 * 3 * 64 * 18 / 32 * (2 if method == "uniform" else 1)
    assert limit - step - 4096 - 32 < size <= limit
    widths = manifest["stages"]["03-mask"]["facts"]["widths"]
    assert read_header(tmp_path / "run" / "gguf" / "reference-small-q4_0.gguf").ffn_widths == tuple(widths)


def test_a_budget_in_parameters_is_met(tiny_folder: Path, tmp_path: Path) -> None:
    manifest, _ = compress(tiny_folder, tmp_path, tmp_path / "run", "parameters = 90000", "global")
    facts = manifest["stages"]["04-prune"]["facts"]
    assert 90_000 - 32 * 3 * 64 < facts["parameters"] <= 90_000


def test_an_impossible_budget_fails_before_any_stage(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"smallest possible is \d+, the largest \d+"):
        compress(tiny_folder, tmp_path, tmp_path / "run", "bytes = 1000")
    assert not (tmp_path / "run" / "stages").exists()


def test_text_that_is_missing_fails_before_any_stage(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far.toml").write_text(
        '[budget]\nffn_share = 0.5\n[mask]\nmultiple = 32\n[evaluate]\ntext = ["none.jsonl"]\n', "utf-8"
    )
    recipe = load_recipe(str(tmp_path / "far.toml"))
    job = open_job("reference", tiny_folder, recipe, out=tmp_path / "run", data=None, reporter=Silent())
    with pytest.raises(TextError, match=r"none\.jsonl is missing"):
        run_job(job)
    assert not (tmp_path / "run" / "stages").exists()


def test_an_unsupported_model_is_refused_before_the_run_folder_is_made(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    config["architectures"] = ["Phi3ForCausalLM"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(FamilyError, match="Phi3ForCausalLM"):
        compress(tmp_path / "model", tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_wrong_type_in_the_quantized_file_is_an_error(finished: Path) -> None:
    with pytest.raises(QuantizationError, match="is F16, not Q4_0"):
        check_types(finished / "gguf" / "reference-small-f16.gguf", tied=False)
    assert set(check_types(finished / "gguf" / "reference-small-q4_0.gguf", tied=True)) == {"F32", "Q4_0", "Q8_0"}


def test_a_tensor_of_another_type_than_asked_is_named(finished: Path) -> None:
    note = "token_embd.weight is Q8_0, not Q6_K: its rows of 64 are no multiple of 256"
    manifest = json.loads((finished / "manifest.json").read_text("utf-8"))
    assert manifest["stages"]["08-quantize"]["facts"]["notes"] == [note]
    for name in ("report.md", "index.html"):
        assert f"08-quantize: {note}" in (finished / "report" / name).read_text("utf-8")


def test_rows_of_256_get_q6_k_for_the_tied_embedding(tmp_path: Path) -> None:
    make_model(tmp_path / "model", hidden_size=256, num_hidden_layers=1, head_dim=64)
    manifest, _ = compress(tmp_path / "model", tmp_path, tmp_path / "run")
    assert manifest["stages"]["08-quantize"]["facts"]["types"] == {"F32": 3, "Q4_0": 7, "Q6_K": 1}
    assert manifest["stages"]["08-quantize"]["facts"]["notes"] == []


def test_perplexity_in_the_report_is_of_the_file(finished: Path) -> None:
    """The pruned row against transformers on the exported folder: weights in F16 there, in BF16 here."""
    report = json.loads((finished / "report" / "report.json").read_text("utf-8"))
    score = report["rows"][1]["texts"]["starter"]
    model = LlamaForCausalLM.from_pretrained(finished / "hf", dtype=torch.float32).eval()
    tokenizer = ChatTokenizer(finished / "hf")
    nats: list[float] = []
    for note in split_notes()[1][:2]:
        ids = [0, *tokenizer.text(note.text)]
        for begin in range(0, len(ids), 32):
            window = torch.tensor(ids[begin : begin + 64])
            with torch.inference_mode():
                logits = model(window[None]).logits[0]
            losses = torch.nn.functional.cross_entropy(logits[:-1], window[1:], reduction="none")
            nats += losses[31 if begin else 0 :].tolist()
            if begin + 64 >= len(ids):
                break
    assert len(nats) == score["scored_tokens"]
    assert math.log(score["hf_stride"]) == pytest.approx(sum(nats) / len(nats), abs=0.01)


def test_the_refit_is_used_only_where_tuning_text_gains(finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_text("utf-8"))
    facts = manifest["stages"]["05-reconstruct"]["facts"]
    assert facts["used"] == (facts["tuning_loss_after"] < facts["tuning_loss_before"])
    assert bool(manifest["stages"]["05-reconstruct"]["files"]) == facts["used"]

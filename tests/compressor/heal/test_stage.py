"""Healing inside the pipeline: one round, two rounds, nothing pruned, resumed after SIGKILL."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.errors import BudgetError
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.prune import replaced_tensors
from compressor.recipe.load import load_recipe
from tests.compressor.runs import Silent

pytestmark = pytest.mark.usefixtures("one_core")

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[mask]
method = "{method}"
multiple = 32
[budget]
ffn_share = {share}
[heal]
data = "starter"
grounded_share = 0.0
objective = "both"
learning_rate = 0.02
batch_rows = 4
tokens_per_row = 64
steps = 4
tuning_rows = 4
evaluate_every = 2
rounds = {rounds}
[evaluate]
documents = 2
context_tokens = 64
"""
RUN = """
import sys
from pathlib import Path
from tests.compressor.heal.test_stage import compress
compress(*map(Path, sys.argv[1:4]), rounds=2)
"""


def compress(folder: Path, work: Path, out: Path, **changed: Any) -> tuple[dict[str, Any], list[str]]:
    settings = {"method": "global", "share": 0.5, "rounds": 1, **changed}
    (work / "heals.toml").write_text(RECIPE.format(**settings), "utf-8")
    silent = Silent()
    job = open_job("reference", folder, load_recipe(str(work / "heals.toml")), out=out, data=None, reporter=silent)
    return run_job(job), silent.lines


def hashes(out: Path) -> dict[str, str]:
    files = [path for path in out.glob("**/*") if path.suffix in {".gguf", ".safetensors"}]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def healed(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    work = tmp_path_factory.mktemp("rounds")
    manifest, _ = compress(tiny_folder, work, work / "run", rounds=2)
    return work, manifest


def test_one_round_heals_what_is_exported(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    manifest, _ = compress(tiny_folder, tmp_path, out, method="uniform")
    assert list(manifest["stages"]) == [
        "01-calibrate", "02-saliency", "03-mask", "04-prune", "06-heal", "07-export", "08-quantize", "09-evaluate",
    ]  # fmt: skip
    facts = manifest["stages"]["06-heal"]["facts"]
    assert facts["steps"] == len(facts["train_curve"]) == 4
    assert facts["tuning_after"] <= facts["tuning_before"]
    assert facts["rows"] == 16
    exported = dict(LlamaForCausalLM.from_pretrained(out / "hf", dtype=torch.float32).named_parameters())
    merged = replaced_tensors(out / "stages" / "06-heal")
    assert len(merged.names()) == 14
    for name in merged.names():
        torch.testing.assert_close(exported[name].data, merged.tensor(name).bfloat16().float())
    _, said = compress(tiny_folder, tmp_path, out, method="uniform")
    assert [line.split(":")[0] for line in said if "kept" in line] == list(manifest["stages"])


def test_two_rounds_cut_in_two_steps(healed: tuple[Path, dict[str, Any]]) -> None:
    work, manifest = healed
    stages = ["01-calibrate", "02-saliency", "03-mask", "04-prune", "06-heal"]
    finish = ["07-export", "08-quantize", "09-evaluate"]
    first = [f"round-1/{name}" for name in [*stages, "07-export"]]
    assert list(manifest["stages"]) == [*first, *stages, *finish]
    assert manifest["stages"]["round-1/03-mask"]["facts"]["widths"] == [96, 96]
    widths = manifest["stages"]["03-mask"]["facts"]["widths"]
    assert sum(widths) == 128
    assert max(widths) <= 96
    between = work / "run" / "stages" / "round-1" / "07-export" / "hf"
    assert LlamaForCausalLM.from_pretrained(between).config.intermediate_size == 96
    rows = json.loads((work / "run" / "report" / "report.json").read_text("utf-8"))["rows"]
    assert [row["ffn_share_removed"] for row in rows] == [0.0, 0.5, 0.5]


def test_the_second_round_starts_from_the_first(healed: tuple[Path, dict[str, Any]], tiny_folder: Path) -> None:
    """Its slices are rows of the healed checkpoint between the rounds, not of the model as it came."""
    run = healed[0] / "run" / "stages"
    between = dict(LlamaForCausalLM.from_pretrained(run / "round-1" / "07-export" / "hf").named_parameters())
    dense = dict(LlamaForCausalLM.from_pretrained(tiny_folder).named_parameters())
    pruned = replaced_tensors(run / "04-prune")
    for name in (name for name in pruned.names() if "down_proj" not in name):
        for row in pruned.tensor(name).float():
            assert bool((between[name].float() == row).all(1).any())
            assert not bool((dense[name].bfloat16().float() == row).all(1).any())


def test_a_killed_second_round_ends_with_the_same_files(
    healed: tuple[Path, dict[str, Any]], tiny_folder: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tiny_folder), str(tmp_path), str(tmp_path / "run")])
    while not (tmp_path / "run" / "stages" / "06-heal" / "key").is_file():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, said = compress(tiny_folder, tmp_path, tmp_path / "run", rounds=2)
    assert "round-1/06-heal: finished before, kept" in said
    assert hashes(tmp_path / "run") == hashes(healed[0] / "run")


def test_nothing_pruned_is_healed_and_quantized(tiny_folder: Path, tmp_path: Path) -> None:
    manifest, _ = compress(tiny_folder, tmp_path, tmp_path / "run", share=0.0)
    assert list(manifest["stages"]) == ["01-calibrate", "06-heal", "07-export", "08-quantize", "09-evaluate"]
    assert manifest["stages"]["07-export"]["facts"]["widths"] == [128, 128]
    assert (tmp_path / "run" / "gguf" / "reference-heals-q4_0.gguf").is_file()


def test_more_rounds_than_steps_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"heal\.rounds = 5 cannot cut 128 neurons a layer to 64 in steps of 32"):
        compress(tiny_folder, tmp_path, tmp_path / "run", rounds=5)

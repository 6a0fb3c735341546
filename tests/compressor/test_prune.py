"""FLAP's bias: what the pruned neurons gave on average stays, and no family that cannot carry it gets one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compressor.checkpoint import Overlay
from compressor.criteria.flap import mean_activations
from compressor.errors import FamilyError, RecipeError
from compressor.families.gemma import GemmaFamily
from compressor.job import Job, open_job
from compressor.layers import load_layer
from compressor.pipeline import run_job
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.load import parse_recipe
from compressor.stages.prune import prune_inputs
from models.gguf_header import read_header
from tests.compressor.criteria.measured import scoring_inputs, seen
from tests.compressor.runs import Silent


def test_the_bias_gives_the_mean_of_what_is_gone(tiny_folder: Path, tmp_path: Path) -> None:
    inputs = scoring_inputs(tiny_folder, tmp_path / "state")
    model = inputs.model
    kept = [torch.arange(0, 128, 2), torch.arange(32)]
    write_pruned(model.source, model.family, kept, tmp_path / "biased", mean_activations(inputs.statistics))
    write_pruned(model.source, model.family, kept, tmp_path / "plain")
    for layer, dense in enumerate(seen(tiny_folder)):
        weights = load_layer(replace(model, source=Overlay(model.source, replaced_tensors(tmp_path / "biased"))), layer)
        assert weights.down_bias is not None
        assert torch.equal(weights.down.double(), dense.down[:, kept[layer]])
        pruned = dense.h[:, kept[layer]] @ weights.down.double().T + weights.down_bias.double()
        whole = dense.h @ dense.down.T
        torch.testing.assert_close(pruned.mean(0), whole.mean(0), rtol=1e-4, atol=1e-6)
    assert not any(name.endswith("bias") for name in replaced_tensors(tmp_path / "plain").names())


RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[saliency]
criterion = "{criterion}"
bias = true
[mask]
multiple = 32
[budget]
ffn_share = 0.5
"""
QUICK = """
[evaluate]
documents = 1
context_tokens = 64
"""


def job(folder: Path, out: Path) -> Job:
    recipe = ("flap", parse_recipe(RECIPE.format(criterion="flap"), "flap"))
    return open_job("tiny", folder, recipe, out=out, data=None, reporter=Silent())


def test_a_family_whose_files_carry_no_bias_is_refused_before_any_work(tiny_folder: Path, tmp_path: Path) -> None:
    llama = job(tiny_folder, tmp_path / "run")
    assert prune_inputs(llama) == {"bias": True}
    with pytest.raises(FamilyError, match=r"saliency\.bias = true.*GemmaForCausalLM; set it to false"):
        prune_inputs(replace(llama, family=GemmaFamily()))


@pytest.mark.parametrize("criterion", ["saliency", "activation", "taylor"])
def test_only_flap_takes_a_bias(criterion: str) -> None:
    with pytest.raises(RecipeError, match=f"belongs to criterion flap, not {criterion}"):
        parse_recipe(RECIPE.format(criterion=criterion), "other")


def test_other_budgets_and_criteria_keep_the_statistics_and_flap_ships_its_bias(
    tiny_folder: Path, tmp_path: Path
) -> None:
    """Scores are cut again from stages/01-calibrate; the finished file holds the bias of every layer."""
    said: list[list[str]] = []
    for content in (
        RECIPE.format(criterion="flap"),
        RECIPE.format(criterion="flap").replace("0.5", "0.75"),
        RECIPE.format(criterion="wanda").replace("bias = true", ""),
    ):
        silent = Silent()
        recipe = ("flap", parse_recipe(content + QUICK, "flap"))
        run_job(open_job("tiny", tiny_folder, recipe, out=tmp_path / "run", data=None, reporter=silent))
        said.append([line.split(":")[0] for line in silent.lines if "kept" in line])
        names = {tensor.name for tensor in read_header(tmp_path / "run" / "gguf" / "tiny-flap-q4_0.gguf").tensors}
        biases = {"blk.0.ffn_down.bias", "blk.1.ffn_down.bias"}
        assert names & biases == (biases if "flap" in content else set())
    assert said == [[], ["01-calibrate", "02-saliency"], ["01-calibrate"]]

"""The stage with every method and budget kind that needs more than scores, on a tiny model."""

from pathlib import Path

import pytest
import torch
from transformers import GemmaConfig

from compressor.errors import RecipeError
from compressor.job import Job, open_job
from compressor.recipe.load import parse_recipe
from compressor.stages.calibrate import run_calibrate
from compressor.stages.contract import CALIBRATE, MASK, SALIENCY, Outcome
from compressor.stages.mask import most_neurons, run_mask
from compressor.stages.saliency import run_saliency
from compressor.storage import load_tensors
from tests.compressor.families.random_models import COMMON, make_family_model
from tests.compressor.families.tokenizers import gemma_tokenizer
from tests.compressor.runs import Silent

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
grounded_share = {grounded}
[mask]
multiple = 32
steps = 3
evaluations = 2
method = "{method}"
[budget]
{budget}
[reconstruct]
ridge = [0.01, 1.0]
"""


def job(folder: Path, out: Path, method: str, budget: str, grounded: float = 0.5) -> Job:
    recipe = parse_recipe(RECIPE.format(method=method, budget=budget, grounded=grounded), "small")
    return open_job("tiny", folder, ("small", recipe), out=out, data=None, reporter=Silent())


def through_mask(work: Job) -> Outcome:
    stages = ((CALIBRATE, run_calibrate), (SALIENCY, run_saliency), (MASK, run_mask))
    with torch.inference_mode():
        for name, run in stages:
            if not work.stage_folder(name).is_dir() or name == MASK:
                work.stage_folder(name).mkdir(parents=True, exist_ok=True)
                outcome = run(work, work.stage_folder(name))
    return outcome


@pytest.mark.parametrize("method", ["learned", "search"])
def test_a_method_keeps_the_budget(tiny_folder: Path, tmp_path: Path, method: str) -> None:
    outcome = through_mask(job(tiny_folder, tmp_path, method, "ffn_share = 0.3"))
    assert sum(outcome.facts["widths"]) == 160
    kept, _ = load_tensors(outcome.files[0])
    assert [indices.numel() for _, indices in sorted(kept.items())] == outcome.facts["widths"]
    if method == "search":
        assert set(outcome.facts["search"]["starts"]) == {"curves", "global", "uniform"}


def test_another_budget_needs_no_new_curves(tiny_folder: Path, tmp_path: Path) -> None:
    through_mask(job(tiny_folder, tmp_path, "search", "ffn_share = 0.3"))
    curves = tmp_path / "stages" / SALIENCY / "curves-32-refitted.safetensors"
    written_ns = curves.stat().st_mtime_ns
    outcome = through_mask(job(tiny_folder, tmp_path, "search", "ffn_share = 0.5"))
    assert sum(outcome.facts["widths"]) == 128
    assert curves.stat().st_mtime_ns == written_ns


@pytest.mark.parametrize("method", ["uniform", "search"])
def test_retention_is_held_by_what_was_measured(tiny_folder: Path, tmp_path: Path, method: str) -> None:
    outcome = through_mask(job(tiny_folder, tmp_path, method, "retention = 0.9"))
    facts = outcome.facts["retention"]
    limit = facts["dense_loss"] / 0.9
    kept = sum(outcome.facts["widths"])
    assert facts["losses"][str(kept)] <= limit
    step = 64 if method == "uniform" else 32
    assert kept == 64 or facts["losses"][str(kept - step)] > limit


def test_a_family_of_one_width(tmp_path: Path) -> None:
    """Masks then choose which neurons, not how many; what decides widths is refused with the family's reason."""
    tokens = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    config = GemmaConfig(**{**COMMON, **tokens}, head_dim=32)
    make_family_model(tmp_path / "gemma", config, gemma_tokenizer())
    layers, ffn = config.num_hidden_layers, config.intermediate_size
    for method in ("global", "search"):
        with pytest.raises(RecipeError, match=f"mask.method = {method} gives layers unequal widths: .*one FFN width"):
            most_neurons(job(tmp_path / "gemma", tmp_path / "run", method, "ffn_share = 0.5", grounded=0))
    work = job(tmp_path / "gemma", tmp_path / "run", "learned", "ffn_share = 0.5", grounded=0)
    outcome = through_mask(work)
    assert outcome.facts["widths"] == [ffn // 2 // 32 * 32] * layers

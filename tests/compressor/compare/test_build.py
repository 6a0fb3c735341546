"""What a cell measures: the model that `bedside compress` makes of a recipe that says the same; and the published allocations."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config

from compressor.compare.bench import Bench
from compressor.compare.build import build_pruned
from compressor.compare.cell import Method, read_missing
from compressor.compare.grid import Plan
from compressor.compare.run import run_comparison
from compressor.errors import BudgetError
from compressor.export_hf import ffn_widths
from compressor.job import Job, open_job
from compressor.recipe.load import parse_recipe
from compressor.stages.contract import RECONSTRUCT, reconstructed_stages
from compressor.stages.plan import plan as stages_of
from tests.compressor.families.random_models import COMMON, make_family_model
from tests.compressor.families.tokenizers import qwen_tokenizer
from tests.compressor.runs import Silent
from tests.compressor.tiny import make_model

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
grounded_share = 0.0
[saliency]
criterion = "{criterion}"
[mask]
method = "{method}"
multiple = 32
steps = 2
evaluations = 3
[budget]
ffn_share = 0.5
[reconstruct]
ridge = [0.01, 0.1]
rounds = {rounds}
[evaluate]
text = ["starter"]
context_tokens = 64
"""


def job_of(folder: Path, out: Path, criterion: str = "wanda", method: str = "uniform", rounds: int = 1) -> Job:
    recipe = parse_recipe(RECIPE.format(criterion=criterion, method=method, rounds=rounds), "r")
    return open_job("tiny", folder, ("r", recipe), out=out, data=None, reporter=Silent())


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers: enough for a whole first and last one."""
    folder = tmp_path_factory.mktemp("deep")
    make_model(folder, num_hidden_layers=4)
    return folder


@torch.inference_mode()
@pytest.mark.parametrize(
    ("criterion", "method", "rounds"),
    [
        ("obs-exact", "search", 4),
        ("obs-exact", "global", 4),
        ("wanda", "search", 1),
        ("wanda", "uniform", 4),
        ("saliency", "learned", 1),
    ],
)
def test_a_cell_is_the_model_that_compress_makes(
    criterion: str, method: str, rounds: int, deep: Path, tmp_path: Path
) -> None:
    job = job_of(deep, tmp_path / "run", criterion, method, rounds)
    for stage in stages_of(job):
        stage.run(job, job.stage_folder(stage.name))
        if stage.name == RECONSTRUCT:
            break
    compressed = job.overlaid(reconstructed_stages(job))
    bench = Bench(replace(job, out=tmp_path / "compare"), {})
    built = build_pruned(bench, Method(criterion, method, "dense", rounds).at(0.5, 0), tmp_path / "cell", lambda: None)
    for layer in range(job.shape.layers):
        names = job.family.layer_names(layer)
        for name in (names.gate, names.up, names.down):
            torch.testing.assert_close(built.source.tensor(name), compressed.tensor(name), rtol=0, atol=0)


@torch.inference_mode()
def test_tyr_s_rounds_stay_whatever_the_tuning_text_says(deep: Path, tmp_path: Path) -> None:
    """On random weights a refit only harms; a recipe would keep the plain slice, the published method has no such way out."""
    bench = Bench(job_of(deep, tmp_path), {})
    found = {}
    for name, method in (
        ("tyr", Method("obs", "uniform", "own", 4)),
        ("activation", Method("activation", "uniform")),
    ):
        built = build_pruned(bench, method.at(0.5, 0), tmp_path / name, lambda: None)
        found[name] = built.source.tensor(bench.job.family.layer_names(1).gate)
    assert not torch.equal(found["tyr"], found["activation"])


@torch.inference_mode()
def test_llm_pruner_leaves_the_first_and_last_layers_whole(deep: Path, tmp_path: Path) -> None:
    bench = Bench(job_of(deep, tmp_path), {})
    method = Method("taylor", "llm-pruner")
    built = build_pruned(bench, method.at(0.25, 0), tmp_path / "cell", lambda: None)
    widths = ffn_widths(built.source, bench.job.family, bench.job.shape)
    assert widths == (128, 64, 64, 128)
    assert sum(widths) == bench.kept_total(0.25)
    with pytest.raises(BudgetError, match="first 1 and last 1 layers whole"):
        build_pruned(bench, method.at(0.5, 0), tmp_path / "other", lambda: None)


def test_a_method_that_the_family_does_not_have_is_left_out(tmp_path: Path) -> None:
    """SliceGPT is built for plain RMSNorm families without biases; a comparison of a Qwen goes on without it."""
    config = Qwen2Config(**COMMON, tie_word_embeddings=False)
    make_family_model(tmp_path / "model", config, qwen_tokenizer())
    said: list[str] = []

    class Listening(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    job = replace(job_of(tmp_path / "model", tmp_path / "out"), reporter=Listening())

    comparison = run_comparison(job, Plan((0.5,), (0, 1), sweep=False), 2)
    assert not comparison.failed
    assert {cell.criterion for cell in comparison.left_out} == {"slicegpt", "taylor"}
    reasons = [line for line in said if line.startswith("slicegpt")]
    assert reasons == [
        "slicegpt: left out (slicegpt is built for LlamaForCausalLM, MistralForCausalLM, not Qwen2ForCausalLM)"
    ]
    assert len(read_missing(tmp_path / "out" / "cells", "left_out")) == 4

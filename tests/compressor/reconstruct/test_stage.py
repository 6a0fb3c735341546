"""The stage: both targets compared, neurons chosen in rounds, an attempt killed at the end, and what is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config

from compressor.errors import FamilyError
from compressor.job import Job, open_job
from compressor.layers import stream_loss
from compressor.prune import replaced_tensors
from compressor.recipe.load import load_recipe
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import make_batches
from compressor.stages.contract import CALIBRATE, MASK, PRUNE, RECONSTRUCT, layer_key
from compressor.stages.plan import plan
from compressor.storage import load_tensors
from compressor.tokens import load_rows
from compressor.walk import StreamCheckpoint
from models.errors import BedsideError
from models.resolve import resolve_checkpoint
from tests.compressor.families.random_models import COMMON, make_family_model
from tests.compressor.runs import Silent
from tests.compressor.tiny import make_tokenizer

RECIPE = """
[calibrate]
samples = 24
tokens_per_sample = 64
[saliency]
criterion = "{criterion}"
[mask]
multiple = 32
[budget]
ffn_share = 0.5
{reconstruct}
"""


def opened(folder: Path, work: Path, criterion: str, reconstruct: str) -> Job:
    recipe = work / "small.toml"
    recipe.write_text(RECIPE.format(criterion=criterion, reconstruct=reconstruct), "utf-8")
    return open_job("small", folder, load_recipe(str(recipe)), out=work / "run", data=None, reporter=Silent())


def run_until_reconstructed(job: Job) -> dict[str, Any]:
    """Facts of the reconstruction; stages that have run are kept."""
    facts: dict[str, Any] = {}
    with torch.inference_mode():
        for stage in plan(job):
            folder = job.stage_folder(stage.name)
            if stage.name > RECONSTRUCT or (stage.name < RECONSTRUCT and folder.is_dir()):
                continue
            stage.inputs(job)
            folder.mkdir(parents=True, exist_ok=True)
            facts = stage.run(job, folder).facts
    return facts


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_better_target_is_used_with_the_neurons_it_chose(tmp_path: Path) -> None:
    """On the built-in model: a random one's loss says nothing of how near it is to the dense one."""
    job = opened(
        resolve_checkpoint("reference"),
        tmp_path,
        "obs-exact",
        '[reconstruct]\ntarget = "best"\nbias = true\nrounds = 4',
    )
    facts = run_until_reconstructed(job)
    by_target = facts["tuning_loss_by_target"]
    assert by_target.keys() == {"dense", "own"}
    assert facts["tuning_loss_after"] == min(by_target.values()) == by_target[facts["target"]]
    assert facts["used"]
    folder = job.stage_folder(RECONSTRUCT)
    kept, _ = load_tensors(folder / "kept.safetensors")
    source = job.overlaid((PRUNE, RECONSTRUCT))
    for layer in range(job.shape.layers):
        names = job.family.layer_names(layer)
        assert torch.equal(source.tensor(names.up), job.checkpoint.tensor(names.up)[kept[layer_key(layer)]])
        assert source.shape(names.down) == (job.shape.hidden, job.shape.ffn // 2)
        assert bool(source.tensor(names.down_bias).any())
    tuning = make_batches(load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors").tuning)
    with torch.inference_mode():
        assert stream_loss(job.view(source), tuning) == pytest.approx(facts["tuning_loss_after"], abs=1e-5)


def test_an_attempt_killed_while_its_files_were_moved_ends_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    job = opened(tiny_folder, tmp_path, "obs", '[reconstruct]\ntarget = "own"')
    facts = run_until_reconstructed(job)
    folder = job.stage_folder(RECONSTRUCT)
    whole = contents(folder)
    assert sorted(whole) == ["kept.safetensors", "layer-000.safetensors", "layer-001.safetensors"]
    (folder / "own").mkdir()
    (folder / "layer-001.safetensors").rename(folder / "own" / "layer-001.safetensors")
    (folder / "kept.safetensors").unlink()
    assert run_until_reconstructed(job) == facts
    assert contents(folder) == whole


def test_any_criterion_goes_in_rounds(tmp_path: Path) -> None:
    job = opened(resolve_checkpoint("reference"), tmp_path, "wanda", '[reconstruct]\ntarget = "own"\nrounds = 4')
    facts = run_until_reconstructed(job)
    assert facts["rounds"] == 4
    masked, _ = load_tensors(job.stage_folder(MASK) / "kept.safetensors")
    kept, _ = load_tensors(job.stage_folder(RECONSTRUCT) / "kept.safetensors")
    assert {name: indices.numel() for name, indices in kept.items()} == dict.fromkeys(masked, job.shape.ffn // 2)
    assert any(kept[name].tolist() != masked[name].tolist() for name in kept)


def test_a_criterion_of_the_reconstruction_needs_it(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BedsideError, match=r"add \[reconstruct\]"):
        opened(tiny_folder, tmp_path, "obs", "")


@pytest.fixture(scope="module")
def gemma_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gemma") / "gemma"
    make_family_model(folder, Gemma2Config(**COMMON, head_dim=16, query_pre_attn_scalar=16), make_tokenizer())
    return folder


def test_a_bias_that_no_file_could_carry_is_refused(gemma_folder: Path, tmp_path: Path) -> None:
    job = opened(gemma_folder, tmp_path, "activation", "[reconstruct]\nbias = true")
    with pytest.raises(FamilyError, match="loads no bias of down for Gemma2ForCausalLM; set it to false"):
        run_until_reconstructed(job)


@pytest.mark.parametrize("asked", ["dense", "best"])
def test_a_target_out_of_reach_is_said_once_and_not_walked(gemma_folder: Path, tmp_path: Path, asked: str) -> None:
    job = opened(gemma_folder, tmp_path, "activation", f'[reconstruct]\ntarget = "{asked}"')
    run_until_reconstructed(job)
    assert isinstance(job.reporter, Silent)
    walks = [line for line in job.reporter.lines if line.startswith("reconstruct")]
    assert walks == [
        f"reconstruct.target = {asked}: a norm follows down here, so the target is the layer's own output",
        "reconstruct, own",
    ]


def test_behind_a_norm_the_target_is_the_output_before_it(gemma_folder: Path, tmp_path: Path) -> None:
    """Gemma 2 normalises what down gives: both targets are then the layer's own output, and it comes nearer to it."""
    job = opened(gemma_folder, tmp_path, "activation", "[reconstruct]")
    facts = run_until_reconstructed(job)
    assert facts["target"] == "own"
    assert facts["tuning_loss_by_target"].keys() == {"own"}
    pruned = job.view(job.overlaid((PRUNE,)))
    rows = load_rows(job.stage_folder(CALIBRATE) / "rows.safetensors")
    fitting, tuning = make_batches(rows.calibrate), make_batches(rows.tuning)
    with torch.inference_mode():
        walk = Reconstruction(job.dense(), pruned, fitting, tuning, "own")
        choices = walk.run((0.0001, 0.001, 0.01, 0.1, 1.0), tmp_path / "own", StreamCheckpoint(tmp_path / "state"))
        refitted = dataclasses.replace(pruned, source=job.overlaid((PRUNE,)))
        assert stream_loss(refitted, tuning) == pytest.approx(facts["tuning_loss_before"])
    assert [dataclasses.asdict(choice) for choice in choices] == facts["layers"]
    assert all(choice.error_after < choice.error_before for choice in choices)
    assert set(replaced_tensors(tmp_path / "own").names()) == {job.family.layer_names(n).down for n in range(2)}

"""What a checkpoint and its tokenizer have to agree on, said in one line before a run folder is made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from compressor.errors import CheckpointError, FamilyError
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.recipe.load import load_recipe
from compressor.stages.export import check_tokens
from compressor.tokens import ChatTokenizer
from models.errors import BedsideError
from tests.compressor.families.test_tokenizers import exported
from tests.compressor.runs import RECIPE, Silent
from tests.compressor.tiny import SPLITTER, make_tokenizer

DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def start(folder: Path) -> Any:
    recipe = folder.parent / "small.toml"
    recipe.write_text(RECIPE.format(budget="ffn_share = 0.5", method="uniform"), "utf-8")
    out = folder.parent / "run"
    return open_job("tiny", folder, load_recipe(str(recipe)), out=out, data=None, reporter=Silent())


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **values}), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda f: change_tensors(f, lambda t: t.pop(DOWN)), CheckpointError, f"lacks {DOWN}"),
        (lambda f: change_config(f, intermediate_size=160), CheckpointError, "shape .* asks for"),
        (lambda f: change_config(f, vocab_size=600), CheckpointError, "embed_tokens.* asks for \\(600, 64\\)"),
        (
            lambda f: change_config(f, bos_token_id=128_000),
            FamilyError,
            "begins text with id 0 and the model with 128000",
        ),
        (
            lambda f: change_config(f, architectures=["Phi3ForCausalLM"]),
            FamilyError,
            "Phi3.* supported are Llama.*Gemma3",
        ),
        (lambda f: change_config(f, rms_norm_eps="small"), FamilyError, "config cannot be read"),
        (lambda f: (f / "tokenizer.json").write_text("{}", "utf-8"), CheckpointError, "cannot be loaded"),
        (
            lambda f: (f / "tokenizer_config.json").write_text("[]", "utf-8"),
            CheckpointError,
            "tokenizer .* cannot be loaded",
        ),
        (lambda f: change_config(f, quantization_config={"bits": 4}), FamilyError, "quantized already"),
        (
            lambda f: change_tensors(f, lambda t: t["model.norm.weight"].fill_(float("nan"))),
            CheckpointError,
            "model.norm.weight .* NaN",
        ),
    ],
)
def test_disagreements_are_one_line(
    folder: Path, spoil: Callable[[Path], object], error: type[BedsideError], says: str
) -> None:
    assert start(folder).name == "tiny"
    spoil(folder)
    with pytest.raises(error, match=says) as caught:
        start(folder)
    assert "\n" not in str(caught.value)
    assert not (folder.parent / "run").exists()


def test_integer_weights_stop_the_run_by_name(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({DOWN: tensors[DOWN].to(torch.int8)}))
    with pytest.raises(CheckpointError, match=f"{DOWN} in model.safetensors is int8, not floats"):
        run_job(start(folder))


def test_nan_weights_stop_the_run_by_name(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors[DOWN].view(-1)[-1:].fill_(float("nan")))
    with pytest.raises(CheckpointError, match=f"{DOWN} in model.safetensors holds NaN"):
        run_job(start(folder))


def test_a_file_that_tokenizes_otherwise_is_refused(tmp_path: Path) -> None:
    path = exported(tmp_path / "model", make_tokenizer())
    assert check_tokens(path, ChatTokenizer(tmp_path / "model")) > 100
    make_tokenizer(splitter=SPLITTER.replace(r"\p{N}|", r"\p{N}{1,3}|"), vocab=480).save_pretrained(tmp_path / "other")
    with pytest.raises(FamilyError, match="unlike the model's own tokenizer"):
        check_tokens(path, ChatTokenizer(tmp_path / "other"))

"""The assembled module against transformers' own loading, for every family, width and tie."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from compressor.assemble import assemble, layer_modules, require_memory
from compressor.checkpoint import Checkpoint, Overlay, TensorFiles
from compressor.errors import MemoryShortError
from compressor.families import find_family
from compressor.prune import layer_file, write_pruned
from compressor.storage import save_tensors
from tests.compressor.families.random_models import COMMON, make_family_model
from tests.compressor.tiny import make_tokenizer

WIDTHS = (96, 32)
CONFIGS = {
    "llama": LlamaConfig(**COMMON, tie_word_embeddings=False),
    "llama-tied": LlamaConfig(**COMMON, tie_word_embeddings=True),
    "mistral": MistralConfig(**COMMON, sliding_window=16, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**COMMON, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**COMMON, head_dim=32, tie_word_embeddings=True),
    "gemma": GemmaConfig(**COMMON, head_dim=32),
    "gemma2": Gemma2Config(
        **COMMON, head_dim=32, query_pre_attn_scalar=32, sliding_window=16, attn_logit_softcapping=5.0
    ),
    "gemma3": Gemma3TextConfig(**COMMON, head_dim=32, query_pre_attn_scalar=32, sliding_window=16),
}
IDS = torch.randint(6, 512, (2, 40), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=list(CONFIGS))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make_family_model(tmp_path / "model", CONFIGS[request.param], make_tokenizer())
    return tmp_path / "model"


def published(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(input_ids=IDS).logits
    return result


def assembled(source: Any, folder: Path) -> Any:
    config = Checkpoint(folder).config
    family = find_family(config)
    return assemble(source, family, family.shape(config), config)


def test_the_dense_model_is_what_transformers_loads(folder: Path) -> None:
    model = assembled(Checkpoint(folder), folder)
    torch.testing.assert_close(logits(model), logits(published(folder)), rtol=1e-4, atol=1e-4)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_unequal_widths_and_a_bias_of_down(folder: Path, tmp_path: Path) -> None:
    """Against transformers' module with its matrices cut and its down hooked by hand."""
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    kept = [torch.randperm(128)[:width].sort().values for width in WIDTHS]
    write_pruned(checkpoint, family, kept, tmp_path / "pruned")
    bias = torch.linspace(-1, 1, 64)
    save_tensors(layer_file(tmp_path / "bias", 1), {family.layer_names(1).down_bias: bias})
    pruned = TensorFiles.scan(sorted((tmp_path / "pruned").iterdir()))
    source = Overlay(Overlay(checkpoint, pruned), TensorFiles.scan([layer_file(tmp_path / "bias", 1)]))

    expected = published(folder)
    for layer, indices in zip(expected.model.layers, kept, strict=True):
        layer.mlp.gate_proj.weight.data = layer.mlp.gate_proj.weight.data[indices]
        layer.mlp.up_proj.weight.data = layer.mlp.up_proj.weight.data[indices]
        layer.mlp.down_proj.weight.data = layer.mlp.down_proj.weight.data[:, indices]
    expected.model.layers[1].mlp.down_proj.register_forward_hook(lambda _module, _inputs, output: output + bias)

    model = assembled(source, folder)
    torch.testing.assert_close(logits(model), logits(expected), rtol=1e-4, atol=1e-4)
    modules = layer_modules(model, family, family.shape(checkpoint.config))
    assert [module.gate_proj.out_features for module in modules] == [len(indices) for indices in kept]


def test_gradients_reach_every_weight(folder: Path) -> None:
    model = assembled(Checkpoint(folder), folder).requires_grad_(True)
    model(input_ids=IDS).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_tied_head_is_one_tensor(folder: Path) -> None:
    model = assembled(Checkpoint(folder), folder)
    tied = bool(model.config.tie_word_embeddings)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


def test_memory_that_is_not_there_is_refused_with_the_numbers() -> None:
    with pytest.raises(MemoryShortError, match=r"^training needs 1024\.0 GiB of memory and [\d.]+ GiB is free; rent"):
        require_memory(2**40, "training", "rent a larger machine")
    require_memory(2**20, "training", "rent a larger machine")

"""Every family under the one contract, each with what sets it apart turned on."""

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from compressor.checkpoint import TEXT_PARTS, Checkpoint
from compressor.errors import FamilyError
from compressor.families import find_family
from models.catalogue import catalogue
from tests.compressor.families.contract import FamilyContract
from tests.compressor.families.random_models import COMMON, make_family_model
from tests.compressor.families.tokenizers import gemma_tokenizer, mistral_tokenizer, qwen_tokenizer

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
PIECES = {**COMMON, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
GEMMA = {**COMMON, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}


class TestLlama(FamilyContract):
    config = LlamaConfig(**COMMON, head_dim=24, tie_word_embeddings=False, rope_parameters=LLAMA3_SCALING)
    architecture = "llama"
    unequal_architecture = "deci"


class TestMistral(FamilyContract):
    """llama.cpp sees no further than the window, so its rows stay within; the layer stream's are longer."""

    config = MistralConfig(**PIECES, head_dim=16, sliding_window=48, tie_word_embeddings=False)
    tokenizer = staticmethod(mistral_tokenizer)
    architecture = "llama"
    unequal_architecture = "deci"
    row_tokens = 48


class TestQwen2(FamilyContract):
    config = Qwen2Config(**COMMON, tie_word_embeddings=False)
    tokenizer = staticmethod(qwen_tokenizer)
    architecture = "qwen2"
    unequal_architecture = "deci"


class TestQwen3(FamilyContract):
    config = Qwen3Config(**COMMON, head_dim=32, tie_word_embeddings=True)
    tokenizer = staticmethod(qwen_tokenizer)
    architecture = "qwen3"
    unequal_architecture = "openelm"


class TestQwen3Untied(FamilyContract):
    config = Qwen3Config(**COMMON, head_dim=32, tie_word_embeddings=False)
    tokenizer = staticmethod(qwen_tokenizer)
    architecture = "qwen3"
    refusal = "output matrix of its own"


class TestGemma(FamilyContract):
    config = GemmaConfig(**{**GEMMA, "num_key_value_heads": 1}, head_dim=32)
    tokenizer = staticmethod(gemma_tokenizer)
    architecture = "gemma"
    tolerance = 1e-2


class TestGemma2(FamilyContract):
    config = Gemma2Config(
        **{**GEMMA, "num_hidden_layers": 4},
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=24,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=6.0,
    )
    tokenizer = staticmethod(gemma_tokenizer)
    architecture = "gemma2"
    tolerance = 1e-2


GEMMA3: dict[str, Any] = {
    **GEMMA,
    "num_hidden_layers": 7,
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
    "sliding_window": 24,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
    },
}


class TestGemma3(FamilyContract):
    config: ClassVar[Any] = Gemma3TextConfig(**GEMMA3)
    tokenizer = staticmethod(gemma_tokenizer)
    architecture = "gemma3"
    tolerance = 1e-2


class TestMedGemma(FamilyContract):
    """Gemma 3 as it comes with a vision tower: the text decoder is compressed, under the text model's names."""

    config: ClassVar[Any] = Gemma3TextConfig(**GEMMA3)
    tokenizer = staticmethod(gemma_tokenizer)
    architecture = "gemma3"
    tolerance = 1e-2

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        plain, folder = tmp_path_factory.mktemp("text"), tmp_path_factory.mktemp("family")
        make_family_model(plain, cls.config, cls.tokenizer())
        tensors = load_file(plain / "model.safetensors")
        nested = {f"language_model.{name}": tensor for name, tensor in tensors.items()}
        vision = {
            "vision_tower.vision_model.head.weight": torch.ones(3),
            "multi_modal_projector.mm.weight": torch.ones(2),
        }
        save_file({**nested, **vision}, folder / "model.safetensors")
        for path in plain.glob("*token*"):
            shutil.copyfile(path, folder / path.name)
        shutil.copyfile(plain / "chat_template.jinja", folder / "chat_template.jinja")
        text = json.loads((plain / "config.json").read_text("utf-8"))
        text.pop("architectures")
        config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        return folder

    def test_the_vision_part_is_counted_and_left_out(self, folder: Path) -> None:
        checkpoint = Checkpoint(folder)
        assert checkpoint.left_out == 2
        assert all(name.startswith("model.") for name in checkpoint.names())


def test_newer_names_of_the_nested_decoder_are_known(tmp_path: Path) -> None:
    """transformers 5 saves `model.language_model.…` where the published files have `language_model.model.…`."""
    save_file({"model.language_model.norm.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    assert Checkpoint(tmp_path).names() == ["model.norm.weight"]


GEMMA_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"query_pre_attn_scalar": 64}, "query_pre_attn_scalar = 64 where llama.cpp uses 32"),
    ({"layer_types": ["full_attention"] * 7}, "layer_types other than full attention in every 6th layer"),
    ({"final_logit_softcapping": 30.0}, "final_logit_softcapping = 30.0"),
    ({"tie_word_embeddings": False}, "tie_word_embeddings = false"),
    ({"hidden_activation": "silu"}, "hidden_activation = silu"),
    ({"use_bidirectional_attention": True}, "use_bidirectional_attention = true"),
]


@pytest.mark.parametrize(("change", "says"), GEMMA_FAULTS)
def test_what_llama_cpp_takes_for_granted_is_checked(change: dict[str, Any], says: str) -> None:
    config = {**GEMMA3, "architectures": ["Gemma3ForCausalLM"]}
    family = find_family(config)
    assert family.shape(config).windows[:6] == (24, 24, 24, 24, 24, None)
    with pytest.raises(FamilyError, match=says):
        family.shape({**config, **change})


@pytest.mark.parametrize(
    ("architecture", "change", "says"),
    [
        ("Qwen2ForCausalLM", {"use_sliding_window": True}, "use_sliding_window = true"),
        ("Qwen3ForCausalLM", {"attention_bias": True}, "attention_bias = true"),
        ("MistralForCausalLM", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope scaling yarn"),
        (
            "Gemma2ForCausalLM",
            {"head_dim": 16, "query_pre_attn_scalar": 16, "attn_logit_softcapping": None},
            "no attn_logit",
        ),
    ],
)
def test_features_of_other_graphs_are_refused_by_name(architecture: str, change: dict[str, Any], says: str) -> None:
    config = {**COMMON, "architectures": [architecture], **change}
    with pytest.raises(FamilyError, match=says):
        find_family(config).shape(config)


def test_every_catalogue_model_belongs_to_a_family() -> None:
    known = {
        "llama": "LlamaForCausalLM",
        "mistral": "MistralForCausalLM",
        "gemma": "GemmaForCausalLM",
        "gemma3": "Gemma3ForConditionalGeneration",
        "qwen2": "Qwen2ForCausalLM",
        "qwen3": "Qwen3ForCausalLM",
    }
    assert {model.family for model in catalogue()} <= set(known)
    for architecture in known.values():
        assert find_family({"architectures": [TEXT_PARTS.get(architecture, architecture)]})

"""Every family under the one contract, each with what sets it apart turned on."""

from typing import Any, ClassVar

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from tests.compressor.families.contract import FamilyContract
from tests.compressor.families.random_models import COMMON
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

"""A random model of any transformers config, with a tokenizer, weights large enough that logits differ visibly."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

COMMON: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "initializer_range": 0.15,
}


def make_family_model(folder: Path, config: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Save a random model of `config` with `tokenizer`; norms and biases are random too."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            middle = 0.0 if "Gemma" in type(model).__name__ else 1.0
            torch.nn.init.uniform_(parameter, middle - 0.5, middle + 0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model

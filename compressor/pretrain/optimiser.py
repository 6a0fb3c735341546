"""Muon on the matrices, AdamW on embeddings and norms, and the learning-rate schedule."""

import torch
from transformers import LlamaForCausalLM

from compressor.pretrain.config import PretrainConfig


def build_optimisers(model: LlamaForCausalLM, config: PretrainConfig) -> list[torch.optim.Optimizer]:
    """Muon with AdamW-matched step sizes for every matrix of the blocks; AdamW without decay for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed_tokens" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed_tokens" in name]
    return [
        torch.optim.Muon(
            matrices, lr=config.matrix_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=config.embedding_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def learning_rate_factor(tokens: int, config: PretrainConfig) -> float:
    """Linear warm-up, a plateau, then a linear fall to 0.02 over the last `decay_share` of the budget."""
    warm = min(1.0, (tokens + 1) / config.warmup_tokens)
    left = (config.total_tokens - tokens) / (config.decay_share * config.total_tokens)
    return warm * min(1.0, max(0.02, left))

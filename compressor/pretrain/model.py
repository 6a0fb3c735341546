"""The reference architecture as a transformers Llama, its initialisation and the weighted loss."""

import time
from collections.abc import Callable

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from compressor.pretrain.batches import Batch
from compressor.pretrain.config import PretrainConfig


def llama_config(config: PretrainConfig) -> LlamaConfig:
    """Llama with grouped-query attention and tied embeddings; ids 0 and 1 begin and end."""
    return LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.hidden_size // config.heads,
        max_position_embeddings=config.context,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )


def new_model(config: PretrainConfig) -> LlamaForCausalLM:
    """A freshly initialised model; the matrices that write to the residual stream start smaller by √(2·layers)."""
    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(llama_config(config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.div_((2 * config.layers) ** 0.5)
    return model


def token_losses(
    model: LlamaForCausalLM, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy in nats of each token given those before it, float32 `(rows, row_tokens - 1)`."""
    hidden = model.model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, :-1]).float()
    return functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(ids.shape[0], -1)


def fastest_dtype(model: LlamaForCausalLM, batch: Batch, device: torch.device) -> torch.dtype:
    """bfloat16 autocast or float32, whichever trains faster here: without hardware support bfloat16 is emulated."""
    elapsed_s: dict[torch.dtype, float] = {}
    for dtype in (torch.bfloat16, torch.float32):
        for _ in range(2):  # the second pass is timed, the first warms up
            start_s = time.monotonic()
            training_losses(model, batch, device, dtype)[0].mean().backward()  # type: ignore[no-untyped-call]
            if device.type == "cuda":
                torch.cuda.synchronize()
            elapsed_s[dtype] = time.monotonic() - start_s
    model.zero_grad(set_to_none=True)
    return min(elapsed_s, key=lambda dtype: elapsed_s[dtype])


def training_losses(
    model: LlamaForCausalLM,
    batch: Batch,
    device: torch.device,
    dtype: torch.dtype,
    losses: Callable[..., torch.Tensor] = token_losses,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token losses and their weights, both `(rows, row_tokens - 1)`, under autocast to `dtype`."""
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        per_token = losses(model, batch.ids.to(device), batch.positions.to(device), batch.attention_mask().to(device))
    return per_token, batch.weights[:, 1:].to(device)

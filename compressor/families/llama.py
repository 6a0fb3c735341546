"""Llama and Mistral: RMSNorm, rotary attention with grouped keys, SwiGLU."""

from typing import Any

import torch
from torch.nn import functional
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from compressor.errors import FamilyError
from compressor.families.contract import LayerNames, ModelShape


class LlamaFamily:
    """Tensor names and formulas of LlamaForCausalLM and MistralForCausalLM."""

    architectures: tuple[str, ...] = ("LlamaForCausalLM", "MistralForCausalLM")
    embedding = "model.embed_tokens.weight"
    final_norm = "model.norm.weight"
    head = "lm_head.weight"

    def shape(self, config: dict[str, Any]) -> ModelShape:
        """Sizes from config.json. Raises FamilyError for biases, another activation or another rope scaling."""
        _refuse_unsupported(config)
        parsed = _parse(config)
        heads = int(parsed.num_attention_heads)
        return ModelShape(
            layers=int(parsed.num_hidden_layers),
            hidden=int(parsed.hidden_size),
            ffn=int(parsed.intermediate_size),
            heads=heads,
            kv_heads=int(parsed.num_key_value_heads),
            head_dim=int(parsed.head_dim or parsed.hidden_size // heads),
            vocab=int(parsed.vocab_size),
            # llama.cpp's llama graph has no sliding window, so the window is as far as the model may look.
            context=min(int(parsed.max_position_embeddings), int(config.get("sliding_window") or 1 << 30)),
            norm_eps=float(parsed.rms_norm_eps),
            rope_theta=float(parsed.rope_parameters["rope_theta"]),
            tied=bool(parsed.tie_word_embeddings),
        )

    def layer_names(self, layer: int) -> LayerNames:
        """Names of layer `layer`'s tensors."""
        prefix = f"model.layers.{layer}"
        return LayerNames(
            attention_norm=f"{prefix}.input_layernorm.weight",
            q=f"{prefix}.self_attn.q_proj.weight",
            k=f"{prefix}.self_attn.k_proj.weight",
            v=f"{prefix}.self_attn.v_proj.weight",
            o=f"{prefix}.self_attn.o_proj.weight",
            ffn_norm=f"{prefix}.post_attention_layernorm.weight",
            gate=f"{prefix}.mlp.gate_proj.weight",
            up=f"{prefix}.mlp.up_proj.weight",
            down=f"{prefix}.mlp.down_proj.weight",
            down_bias=f"{prefix}.mlp.down_proj.bias",
        )

    def rope_frequencies(self, config: dict[str, Any]) -> torch.Tensor:
        """Rotary frequencies, float32 (head_dim / 2,), llama3 scaling applied."""
        inverse: torch.Tensor = LlamaRotaryEmbedding(_parse(config)).inv_freq
        return inverse.detach().float()

    def rope_factors(self, config: dict[str, Any]) -> torch.Tensor | None:
        """Unscaled over scaled frequencies, float32 (head_dim / 2,), or None where there is no scaling."""
        parsed = _parse(config)
        if parsed.rope_parameters["rope_type"] == "default":
            return None
        unscaled, _ = LlamaRotaryEmbedding.compute_default_rope_parameters(parsed)
        factors: torch.Tensor = unscaled.float() / self.rope_frequencies(config)
        return factors

    def activation(self, gate: torch.Tensor) -> torch.Tensor:
        """SiLU."""
        return functional.silu(gate)

    def activation_slope(self, gate: torch.Tensor) -> torch.Tensor:
        """σ(g)·(1 + g·(1 − σ(g)))."""
        sigmoid = torch.sigmoid(gate)
        return sigmoid * (1 + gate * (1 - sigmoid))


def _parse(config: dict[str, Any]) -> Any:
    """LlamaConfig knows both spellings of the rope fields; Mistral's config is a superset of it."""
    known = {
        key: value
        for key, value in config.items()
        if key not in {"model_type", "architectures", "dtype", "torch_dtype"}
    }
    return LlamaConfig(**known)


def _refuse_unsupported(config: dict[str, Any]) -> None:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope_type = str(rope.get("rope_type", rope.get("type", "default")))
    faults = [f"{key} = true" for key in ("attention_bias", "mlp_bias") if config.get(key)]
    if config.get("hidden_act", "silu") != "silu":
        faults.append(f"hidden_act = {config['hidden_act']}")
    if rope_type not in {"default", "llama3"}:
        faults.append(f"rope scaling {rope_type}")
    if config.get("intermediate_sizes"):
        faults.append("layers of unequal width")
    if faults:
        raise FamilyError(f"the model's config has {', '.join(faults)}, which is not supported; choose another model")

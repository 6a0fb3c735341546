"""What every family shares: RMSNorm, rotary attention with grouped keys, a gated FFN, and the checkpoint's names.

A family's own file states what differs. Formulas follow transformers' modelling code, layouts llama.cpp's loaders.
"""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch.nn import functional
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from compressor.errors import FamilyError
from compressor.families.activations import silu_slope
from compressor.families.contract import GgufLayout, LayerNames, ModelShape

_FOREIGN = frozenset({"model_type", "architectures", "dtype", "torch_dtype", "intermediate_sizes"})


class Decoder:
    """The common case; SwiGLU unless a family overrides it."""

    architectures: tuple[str, ...]
    config_class: ClassVar[Any]
    embedding: str = "model.embed_tokens.weight"
    final_norm: str = "model.norm.weight"
    head: str = "lm_head.weight"
    carries_down_bias: bool = False
    hf_down_bias: bool = False
    equal_layout: ClassVar[GgufLayout]
    unequal_layout: ClassVar[GgufLayout | None] = None
    hidden_acts: ClassVar[frozenset[str]] = frozenset({"silu"})
    rope_types: ClassVar[frozenset[str]] = frozenset({"default"})
    refused: ClassVar[tuple[str, ...]] = ("attention_bias", "mlp_bias", "use_bidirectional_attention")
    """Switches of config.json that have to be off."""

    def shape(self, config: dict[str, Any]) -> ModelShape:
        """Sizes from config.json. Raises FamilyError for a feature that the pipeline would get wrong."""
        faults = self.faults(config)
        if faults:
            raise FamilyError(
                f"the model's config has {', '.join(faults)}, which is not supported; choose another model"
            )
        parsed = self.parse(config)
        heads = int(parsed.num_attention_heads)
        plain = ModelShape(
            layers=int(parsed.num_hidden_layers),
            hidden=int(parsed.hidden_size),
            ffn=int(parsed.intermediate_size),
            heads=heads,
            kv_heads=int(parsed.num_key_value_heads),
            head_dim=int(getattr(parsed, "head_dim", None) or parsed.hidden_size // heads),
            vocab=int(parsed.vocab_size),
            context=int(parsed.max_position_embeddings),
            norm_eps=float(parsed.rms_norm_eps),
            rope_theta=float(self.rope(parsed)["rope_theta"]),
            tied=bool(parsed.tie_word_embeddings),
        )
        return replace(plain, **self.traits(parsed))

    def traits(self, parsed: Any) -> dict[str, Any]:
        """The fields of ModelShape in which this family differs from the common decoder."""
        return {}

    def faults(self, config: dict[str, Any]) -> list[str]:
        """What in config.json this family does not do, in config.json's words."""
        found = [f"{key} = true" for key in self.refused if config.get(key)]
        acts = {key: config[key] for key in ("hidden_act", "hidden_activation") if config.get(key)}
        found += [f"{key} = {act}" for key, act in acts.items() if act not in self.hidden_acts]
        rope = self.raw_rope(config)
        rope_type = str(rope.get("rope_type", rope.get("type", "default")))
        if rope_type not in self.rope_types:
            found.append(f"rope scaling {rope_type}")
        if config.get("quantization_config"):
            found.append("weights that are quantized already")
        if config.get("intermediate_sizes"):
            found.append("layers of unequal width")
        return found

    def raw_rope(self, config: dict[str, Any]) -> dict[str, Any]:
        """The rope table of config.json in either spelling."""
        return config.get("rope_parameters") or config.get("rope_scaling") or {}

    def parse(self, config: dict[str, Any]) -> Any:
        """transformers' own reading of config.json: defaults, old spellings. Raises FamilyError."""
        try:
            return self.config_class(**{key: value for key, value in config.items() if key not in _FOREIGN})
        except Exception as error:  # what transformers raises here has no common base
            reason = str(error).strip().splitlines()[-1].strip()
            raise FamilyError(f"the model's config cannot be read ({reason}); correct its config.json") from error

    def rope(self, parsed: Any) -> dict[str, Any]:
        """The rope table of the layers that see everything."""
        table: dict[str, Any] = parsed.rope_parameters
        return table

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
        """Rotary frequencies, float32 (layers, head_dim / 2): the same in every layer."""
        shape, parsed = self.shape(config), self.parse(config)
        inverse = plain_frequencies(shape.rope_theta, shape.head_dim)
        rope_type = str(self.rope(parsed).get("rope_type", "default"))
        if rope_type != "default":
            inverse = ROPE_INIT_FUNCTIONS[rope_type](parsed, torch.device("cpu"))[0].float()
        return inverse.repeat(shape.layers, 1)

    def rope_factors(self, config: dict[str, Any]) -> torch.Tensor | None:
        """Unscaled over scaled frequencies, float32 (head_dim / 2,), or None where there is no scaling."""
        if "llama3" not in self.rope_types or self.rope(self.parse(config)).get("rope_type", "default") == "default":
            return None
        shape = self.shape(config)
        return plain_frequencies(shape.rope_theta, shape.head_dim) / self.rope_frequencies(config)[0]

    def activation(self, gate: torch.Tensor) -> torch.Tensor:
        """SiLU."""
        return functional.silu(gate)

    def activation_slope(self, gate: torch.Tensor) -> torch.Tensor:
        """SiLU's derivative."""
        return silu_slope(gate)

    def allows_unequal_widths(self, config: dict[str, Any]) -> str | None:
        """None where layers may differ in width, else why not."""
        if self.unequal_layout is not None:
            return None
        return f"llama.cpp loads {self.equal_layout.architecture} files with one FFN width in all layers only"

    def gguf_layout(self, *, equal_widths: bool) -> GgufLayout:
        """The llama.cpp architecture for this family's files. Raises FamilyError where there is none."""
        if equal_widths:
            return self.equal_layout
        if self.unequal_layout is None:
            raise FamilyError(f"layers differ in width, but {self.allows_unequal_widths({})}; use one width")
        return self.unequal_layout


def plain_frequencies(theta: float, head_dim: int) -> torch.Tensor:
    """θ^(−2i / head_dim), float32 (head_dim / 2,)."""
    return 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)

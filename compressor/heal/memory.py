"""How much memory a healing takes at its peak, in bytes: an estimate to refuse by, leaning high."""

from math import prod

import torch

from compressor.checkpoint import TensorSource
from compressor.heal.adapters import adapted_names
from compressor.layers import ModelView
from compressor.recipe.tables import Heal

ADAPTER_BYTES = 24
"""Per adapter parameter in float32: weight, gradient, two moments, the best so far, and a copy while saving."""
LOGIT_BYTES = 16
"""Per logit: float32 value, log-softmax, gradient, and one of them in the making."""
HIDDEN_COPIES, WIDTH_COPIES = 24, 10
"""Values that one layer's backward pass keeps per token, in units of the hidden size and of the FFN width."""

CPU_BLOCKS = 2
"""Times the activations that stay resident on a CPU: passes differ in length, and the C library keeps the blocks of each.
5.66 GiB were measured after 24 steps of the reference model (8 rows of up to 1,024 tokens) where one pass takes 3.3."""

BASE_SHARE = {"full": 1.0, "8bit": 0.5, "4bit": 0.28}
"""Size of a matrix under bitsandbytes to that in two bytes, its scales included."""


def training_bytes(model: ModelView, dense: ModelView | None, recipe: Heal, dtype: torch.dtype) -> int:
    """Frozen weights in `dtype` (those of `dense`, the teacher, too), adapters, logits and activations of one pass."""
    names = [name for layer in range(model.shape.layers) for name in adapted_names(model.family, layer)]
    matrices = sum(prod(model.source.shape(name)) for name in names)
    weights = dtype.itemsize * parameters(model.source)
    if recipe.base != "full":
        weights += round((2 * BASE_SHARE[recipe.base] - dtype.itemsize) * matrices)
    models = 1 if dense is None else 2
    weights += 0 if dense is None else dtype.itemsize * parameters(dense.source)
    kept = CPU_BLOCKS if model.device.type == "cpu" else 1
    return weights + ADAPTER_BYTES * adapter_count(model, recipe) + kept * activation_bytes(model, recipe, models)


def parameters(source: TensorSource) -> int:
    """Values in all tensors of a source."""
    return sum(prod(source.shape(name)) for name in source.names())


def adapter_count(model: ModelView, recipe: Heal) -> int:
    """Parameters of all adapters: rank · (rows + columns) of each matrix."""
    names = [name for layer in range(model.shape.layers) for name in adapted_names(model.family, layer)]
    return recipe.rank * sum(sum(model.source.shape(name)) for name in names)


def activation_bytes(model: ModelView, recipe: Heal, models: int) -> int:
    """Logits of every model, and what back-propagation keeps of the layers, in float32."""
    shape = model.shape
    tokens = recipe.rows_at_once * recipe.tokens_per_row
    kept = [
        HIDDEN_COPIES * shape.hidden + WIDTH_COPIES * model.source.shape(model.family.layer_names(layer).gate)[0]
        for layer in range(shape.layers)
    ]
    per_token = shape.hidden * shape.layers + max(kept) if recipe.gradient_checkpointing else sum(kept)
    return tokens * (4 * per_token + LOGIT_BYTES * models * shape.vocab)

"""All criteria under their recipe names: one score per neuron and layer, the lowest pruned first.

Also how each published baseline spreads a budget over the layers by itself (`native_method`, `llm_pruner_widths`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from compressor.calibrate import Statistics
from compressor.criteria.activation import activation
from compressor.criteria.chance import chance
from compressor.criteria.flap import flap
from compressor.criteria.jacobian import jacobian
from compressor.criteria.layer import LayerInputs
from compressor.criteria.magnitude import magnitude_all, magnitude_down
from compressor.criteria.saliency import percentile_ranks, saliency, saliency_ranks
from compressor.criteria.taylor import taylor
from compressor.criteria.wanda import wanda
from compressor.errors import BudgetError
from compressor.layers import ModelView
from compressor.walk import Advance

_BY_LAYER: dict[str, Callable[[LayerInputs], torch.Tensor]] = {
    "saliency": saliency,
    "jacobian": jacobian,
    "magnitude-down": magnitude_down,
    "magnitude-all": magnitude_all,
    "activation": activation,
    "wanda": wanda,
    "flap": flap,
}
CRITERIA: tuple[str, ...] = (*_BY_LAYER, "random", "taylor")
"""Every name that `score_layers` knows."""


@dataclass(frozen=True)
class ScoringInputs:
    """What any criterion may need."""

    model: ModelView
    """The dense model."""
    statistics: Statistics
    """Of the dense model, from calibration."""
    rows: list[list[int]]
    """Calibration rows of token ids; `taylor` only."""
    config: Mapping[str, Any]
    """The checkpoint's config.json; `taylor` only."""
    seed: int
    """`random` only."""


def score_layers(criterion: str, inputs: ScoringInputs, advance: Advance = lambda: None) -> list[torch.Tensor]:
    """Scores per layer, float64 (ffn,), low = prune; `advance` is called `count_steps` times.

    Raises MemoryShortError where `taylor` does not fit.
    """
    if criterion == "taylor":
        return taylor(inputs.model, inputs.config, inputs.rows, advance)
    scores = []
    for layer, sums in enumerate(inputs.statistics.layers):
        if criterion == "random":
            scores.append(chance(sums.h.numel(), layer, inputs.seed))
        else:
            names = inputs.model.family.layer_names(layer)
            view = LayerInputs(sums, inputs.statistics.tokens, inputs.model.source, names)
            scores.append(_BY_LAYER[criterion](view))
        advance()
    return scores


def count_steps(criterion: str, inputs: ScoringInputs) -> int:
    """How many steps `score_layers` reports: rows for `taylor`, layers for all others."""
    return len(inputs.rows) if criterion == "taylor" else len(inputs.statistics.layers)


def starting_ranks(
    criterion: str, scores: Sequence[torch.Tensor], statistics: Statistics, model: ModelView
) -> torch.Tensor:
    """What mask `learned` starts from, ranks in [0, 1], (layers, scores, ffn): the paper's two, else the one score's."""
    if criterion != "saliency":
        return torch.stack([percentile_ranks(layer)[None] for layer in scores])
    family, source = model.family, model.source
    return torch.stack(
        [
            saliency_ranks(LayerInputs(sums, statistics.tokens, source, family.layer_names(layer)))
            for layer, sums in enumerate(statistics.layers)
        ]
    )


_NATIVE = {"flap": "global", "wanda": "sequential", "taylor": "llm-pruner"}


def native_method(criterion: str) -> str:
    """How a baseline's authors spread a budget: a share per layer (`uniform`), unless it is one of these.

    FLAP's threshold is `global`; Wanda-sp scores each layer on what the pruned layers before it give (`sequential`); LLM-Pruner
    leaves the first and last layers whole (`llm-pruner`).
    """
    return _NATIVE.get(criterion, "uniform")


def llm_pruner_widths(layers: int, ffn: int, kept_total: int, multiple: int) -> list[int]:
    """LLM-Pruner's default allocation: first and last layers whole, the others one width.

    Its code leaves the first 4 and the last 2 of 32 layers alone; other depths in proportion, one layer at least. Widths
    are multiples of `multiple`; blocks that do not divide evenly go to the earlier layers. Raises BudgetError where the
    layers between cannot take up the whole reduction.
    """
    first, last = max(1, layers * 4 // 32), max(1, layers * 2 // 32)
    between = layers - first - last
    blocks = (kept_total - (first + last) * ffn) // multiple
    if between < 1 or blocks < between:
        raise BudgetError(
            f"keeping {kept_total} of {layers * ffn} neurons with the first {first} and last {last} layers whole leaves "
            f"less than {multiple} in each of the {between} layers between; keep more or use mask.method = uniform"
        )
    each, more = divmod(blocks, between)
    middle = [(each + (index < more)) * multiple for index in range(between)]
    return [ffn] * first + middle + [ffn] * last

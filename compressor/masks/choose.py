"""Scores and budget to kept neurons.

Rounding: widths are multiples of `multiple` and never 0, and the total kept is the largest such that the budget is not
exceeded. `uniform` gives every layer the same width, so there the total is also a multiple of layers · multiple.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from compressor.errors import BudgetError
from compressor.recipe.tables import Budget


@dataclass(frozen=True)
class Cost:
    """What the model costs besides its FFN neurons, and what one neuron costs, in parameters and in file bytes."""

    layers: int
    ffn: int
    fixed_parameters: int
    parameters_per_neuron: int
    fixed_bytes: int
    """Q4_0 file without any FFN weight: header, embedding, attention, norms."""
    bytes_per_neuron: float


def neuron_ceiling(budget: Budget, cost: Cost, method: str, multiple: int) -> int:
    """The most neurons that may be kept over all layers. Raises BudgetError with the possible range."""
    total = cost.layers * cost.ffn
    smallest = cost.layers * multiple
    if multiple > cost.ffn:
        raise BudgetError(f"mask.multiple = {multiple} is wider than the FFN ({cost.ffn}); lower it")
    if budget.ffn_share is not None:
        ceiling = int((1 - budget.ffn_share) * total + 1e-9)
        wanted, fixed, each, unit = budget.ffn_share, 0.0, 0.0, "ffn_share"
    elif budget.parameters is not None:
        wanted, fixed, each, unit = budget.parameters, cost.fixed_parameters, cost.parameters_per_neuron, "parameters"
        ceiling = (budget.parameters - cost.fixed_parameters) // cost.parameters_per_neuron
    else:
        assert budget.bytes is not None
        wanted, fixed, each, unit = budget.bytes, cost.fixed_bytes, cost.bytes_per_neuron, "bytes"
        ceiling = int((budget.bytes - cost.fixed_bytes) / cost.bytes_per_neuron)
    step = smallest if method == "uniform" else multiple
    largest = min((total - 1) // step * step, cost.layers * (cost.ffn // multiple) * multiple)
    if smallest <= ceiling < total and largest >= smallest:
        return min(ceiling // step * step, largest)
    if unit == "ffn_share":
        raise BudgetError(
            f"budget.ffn_share = {wanted} is impossible: at most {1 - smallest / total:.4f} can be removed"
        )
    low, high = fixed + each * smallest, fixed + each * largest
    raise BudgetError(
        f"budget.{unit} = {wanted} is impossible: the smallest possible is {low:.0f}, the largest {high:.0f}"
    )


def choose(scores: Sequence[torch.Tensor], kept_total: int, method: str, multiple: int) -> list[torch.Tensor]:
    """Kept neuron indices per layer, int64, sorted. `kept_total` comes from `neuron_ceiling`."""
    if method == "uniform":
        widths = [kept_total // len(scores)] * len(scores)
    else:
        widths = global_widths(scores, kept_total // multiple, multiple)
    return [_highest(layer, width) for layer, width in zip(scores, widths, strict=True)]


def global_widths(scores: Sequence[torch.Tensor], blocks: int, multiple: int) -> list[int]:
    """Widths under one threshold over standardised scores: exactly `blocks` blocks, at least one in each layer."""
    values, owners = [], []
    for index, layer in enumerate(scores):
        spread = layer.std(correction=0)
        standard = (layer - layer.mean()) / (spread if float(spread) > 0 else 1.0)
        ordered = standard.sort(descending=True).values[: layer.numel() // multiple * multiple]
        means = ordered.view(-1, multiple).mean(1)
        values.append(means[1:])
        owners.append(torch.full((means.numel() - 1,), index))
    order = torch.cat(values).argsort(descending=True, stable=True)[: blocks - len(scores)]
    taken = torch.bincount(torch.cat(owners)[order], minlength=len(scores)) + 1
    return [int(count) * multiple for count in taken]


def _highest(scores: torch.Tensor, width: int) -> torch.Tensor:
    return scores.argsort(descending=True, stable=True)[:width].sort().values

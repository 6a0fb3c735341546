"""Scores and widths to kept neurons: the highest scores of each layer stay."""

from collections.abc import Sequence

import torch


def choose(scores: Sequence[torch.Tensor], kept_total: int, method: str, multiple: int) -> list[torch.Tensor]:
    """Kept neuron indices per layer by method `uniform` or `global`; `kept_total` comes from `neuron_ceiling`."""
    if method == "uniform":
        widths = [kept_total // len(scores)] * len(scores)
    else:
        widths = threshold_widths([_standardised(layer) for layer in scores], kept_total, multiple)
    return keep_highest(scores, widths)


def keep_highest(scores: Sequence[torch.Tensor], widths: Sequence[int]) -> list[torch.Tensor]:
    """Kept neuron indices per layer, int64, sorted; of equal scores the first stays."""
    return [
        layer.argsort(descending=True, stable=True)[:width].sort().values
        for layer, width in zip(scores, widths, strict=True)
    ]


def threshold_widths(values: Sequence[torch.Tensor], kept_total: int, multiple: int) -> list[int]:
    """Widths under one threshold over `values`: exactly `kept_total` in blocks of `multiple`, one at least in each layer."""
    means, owners = [], []
    for index, layer in enumerate(values):
        ordered = layer.sort(descending=True).values[: layer.numel() // multiple * multiple]
        blocks = ordered.view(-1, multiple).mean(1)[1:]
        means.append(blocks)
        owners.append(torch.full((blocks.numel(),), index))
    free = kept_total // multiple - len(values)
    order = torch.cat(means).argsort(descending=True, stable=True)[:free]
    taken = torch.bincount(torch.cat(owners)[order], minlength=len(values)) + 1
    return [int(count) * multiple for count in taken]


def _standardised(layer: torch.Tensor) -> torch.Tensor:
    """Mean 0 and deviation 1 within the layer, as FLAP's allocation does."""
    spread = layer.std(correction=0)
    return (layer - layer.mean()) / (spread if float(spread) > 0 else 1.0)

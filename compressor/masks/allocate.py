"""Curves to widths: the allocation that minimises the sum of the layers' errors, exactly."""

from collections.abc import Sequence

import numpy
import torch


def allocate(curves: torch.Tensor, widths: Sequence[int], ffn: int, kept_total: int, multiple: int) -> list[int]:
    """Width per layer, multiples of `multiple` and at least one each, `kept_total` together.

    `curves` float64 (layers, len(widths)) holds each layer's error at `widths` (ascending); the whole layer has none.
    Between the points errors are interpolated in a straight line, below the first point extrapolated, and made to fall
    with the width. Dynamic programming over blocks: the exact minimum of the sum.
    """
    blocks, most = kept_total // multiple, ffn // multiple
    costs = _block_costs(curves, widths, ffn, multiple)
    best = numpy.full(blocks + 1, numpy.inf)
    best[0] = 0.0
    choices = numpy.zeros((len(costs), blocks + 1), dtype=numpy.int64)
    for layer, cost in enumerate(costs):
        reached = numpy.full(blocks + 1, numpy.inf)
        for taken in range(1, min(most, blocks) + 1):
            candidate = best[: blocks + 1 - taken] + cost[taken - 1]
            better = candidate < reached[taken:]
            reached[taken:][better] = candidate[better]
            choices[layer, taken:][better] = taken
        best = reached
    found, left = [], blocks
    for layer in reversed(range(len(costs))):
        taken = int(choices[layer, left])
        found.append(taken * multiple)
        left -= taken
    return found[::-1]


def _block_costs(curves: torch.Tensor, widths: Sequence[int], ffn: int, multiple: int) -> list[numpy.ndarray]:
    at = numpy.arange(1, ffn // multiple + 1) * multiple
    points = numpy.array([*widths, ffn], dtype=numpy.float64)
    costs = []
    for curve in curves.numpy():
        values = numpy.minimum.accumulate(numpy.maximum([*curve, 0.0], 0.0))
        line = numpy.interp(at, points, values)
        slope = (values[0] - values[1]) / (points[1] - points[0])
        costs.append(line + slope * numpy.maximum(points[0] - at, 0.0))
    return costs

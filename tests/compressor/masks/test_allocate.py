"""Curves to widths: the exact minimum against trying everything."""

from itertools import product

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.masks.allocate import allocate


def cost_of(curve: list[float], widths: list[int], ffn: int, width: int) -> float:
    """The documented curve at one width, computed point by point."""
    points, values = [*widths, ffn], [*curve, 0.0]
    falling = [min(values[: index + 1]) for index in range(len(values))]
    if width < points[0]:
        slope = (falling[0] - falling[1]) / (points[1] - points[0])
        return falling[0] + slope * (points[0] - width)
    return float(numpy.interp(width, points, falling))


@settings(max_examples=60)
@given(
    curves=st.lists(st.lists(st.floats(0, 5), min_size=2, max_size=2), min_size=1, max_size=4),
    blocks=st.integers(1, 5),
    data=st.data(),
)
def test_the_sum_is_the_least_of_all_allocations(curves: list[list[float]], blocks: int, data: st.DataObject) -> None:
    ffn, multiple, widths = blocks * 32, 32, [48, 64]
    widths = [width for width in widths if width < ffn]
    if not widths:
        return
    curves = [curve[: len(widths)] for curve in curves]
    total = data.draw(st.integers(len(curves), len(curves) * blocks))
    found = allocate(torch.tensor(curves, dtype=torch.float64), widths, ffn, total * multiple, multiple)
    assert sum(found) == total * multiple
    assert all(0 < width <= ffn and width % multiple == 0 for width in found)

    def whole(allocation: list[int]) -> float:
        return sum(cost_of(curve, widths, ffn, width) for curve, width in zip(curves, allocation, strict=True))

    every = product(range(1, blocks + 1), repeat=len(curves))
    least = min(whole([part * 32 for part in parts]) for parts in every if sum(parts) == total)
    assert whole(found) == pytest.approx(least, abs=1e-9)


def test_a_layer_that_loses_nothing_is_cut_first() -> None:
    curves = torch.tensor([[0.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
    assert allocate(curves, [64, 128], 256, 288, 32) == [32, 256]

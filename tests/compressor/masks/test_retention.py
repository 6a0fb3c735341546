"""The smallest size that holds a retention: bisection against a linear scan, and the refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import BudgetError
from compressor.masks.retention import smallest_size


@given(
    drops=st.lists(st.floats(0.001, 0.5), min_size=2, max_size=30),
    retention=st.floats(0.3, 1.0),
    step=st.sampled_from([32, 256]),
)
def test_bisection_finds_what_a_scan_finds(drops: list[float], retention: float, step: int) -> None:
    sizes = range(step, step * (len(drops) + 1), step)
    dense = 2.0
    losses = {size: dense + sum(drops[index:]) for index, size in enumerate(sizes)}
    measured: list[int] = []

    def measure(size: int) -> float:
        measured.append(size)
        return losses[size]

    holding = [size for size in sizes if losses[size] <= dense / retention]
    if not holding:
        with pytest.raises(BudgetError, match=f"leaves {dense / losses[sizes[-1]]:.4f}"):
            smallest_size(measure, sizes, dense, retention)
        return
    assert smallest_size(measure, sizes, dense, retention) == holding[0]
    assert len(measured) <= 3 + len(sizes).bit_length()


def test_one_size_is_measured_and_taken() -> None:
    assert smallest_size(lambda _: 2.0, range(32, 33, 32), 2.0, 1.0) == 32

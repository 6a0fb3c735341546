"""What solving holds at its peak, counted by torch's own allocator: at 14,336 neurons each k × k in float64 is 1.6 GB."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.reconstruct.normal import Normal
from compressor.reconstruct.rounds import Rounds, damp, keep_by_rounds
from compressor.reconstruct.solve import ridge
from tests.compressor.reconstruct.allocated import peak_bytes

OUTPUTS = 2


def second_moment(size: int, seed: int = 0) -> torch.Tensor:
    h = torch.randn(2 * size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return h.T @ h


@settings(deadline=None, max_examples=8)
@given(size=st.integers(64, 192), share=st.sampled_from((1e-4, 1.0)), biased=st.booleans())
def test_a_refit_holds_one_copy_beside_the_second_moment(size: int, share: float, biased: bool) -> None:
    normal = Normal(second_moment(size), torch.ones(OUTPUTS, size, dtype=torch.float64), biased)
    before = normal.gram.clone()
    found = peak_bytes(lambda: ridge(normal, normal.cross, share))
    # Right side, solution and strengths: some rows of k beside the copy.
    assert size * size <= found / 8 <= size * size + (4 * OUTPUTS + 8) * size
    assert torch.equal(normal.gram, before)


@pytest.mark.parametrize("criterion", ["obs", "obs-exact"])
def test_rounds_hold_one_copy_beside_the_second_moment(criterion: Any) -> None:
    size = 192
    gram, weight = second_moment(size), torch.ones(OUTPUTS, size, dtype=torch.float64)
    found = peak_bytes(lambda: keep_by_rounds(damp(gram), weight, size // 2, Rounds(criterion, 8)))
    assert found / 8 < 1.2 * size * size

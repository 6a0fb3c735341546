"""What solving holds at its peak, counted by torch's own allocator: at 14,336 neurons each k × k in float64 is 1.6 GB."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.errors import MemoryShortError
from compressor.masks.curves import CurveInputs, curve_bytes, measure_curves
from compressor.reconstruct.memory import reconstruction_bytes
from compressor.reconstruct.normal import Normal
from compressor.reconstruct.rounds import Rounds, damp, keep_by_rounds
from compressor.reconstruct.solve import ridge
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.reconstruct.allocated import peak_bytes
from tests.compressor.reconstruct.test_walk import rows, views
from tests.compressor.tiny import make_model

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


@pytest.mark.parametrize("rounds", [None, Rounds("obs", 3), Rounds("wanda", 3)])
def test_the_estimate_is_what_a_walk_takes(tmp_path: Path, rounds: Rounds | None) -> None:
    make_model(tmp_path / "model", num_hidden_layers=2, intermediate_size=768)
    fitting, tuning = make_batches(rows(4, 5)), make_batches(rows(2, 7))
    with torch.inference_mode():
        dense, pruned = views(tmp_path / "model", tmp_path, torch.arange(640))
        needed = reconstruction_bytes(dense, pruned, fitting, tuning, rounds)
        walk = Reconstruction(dense, pruned, fitting, tuning, "own", rounds=rounds)
        taken = peak_bytes(lambda: walk.run((0.1,), tmp_path / "refit", StreamCheckpoint(tmp_path / "state")))
    assert 0.6 * needed < taken < needed


@pytest.mark.parametrize("refit", [False, True])
def test_the_estimate_is_what_curves_take(tmp_path: Path, refit: bool) -> None:
    make_model(tmp_path / "model", num_hidden_layers=2, intermediate_size=768)
    with torch.inference_mode():
        dense, _ = views(tmp_path / "model", tmp_path)
        scores = [torch.arange(768, dtype=torch.float64)] * 2
        inputs = CurveInputs(dense, scores, make_batches(rows(4, 5)), make_batches(rows(2, 7)), refit)
        state = StreamCheckpoint(tmp_path / "state")
        taken = peak_bytes(lambda: measure_curves(inputs, [384, 640], state))
    assert 0.6 * curve_bytes(inputs, [384, 640]) < taken < curve_bytes(inputs, [384, 640])


def test_a_layer_too_wide_for_the_memory_is_refused_with_numbers(tiny_folder: Path, tmp_path: Path) -> None:
    dense, pruned = views(tiny_folder, tmp_path)
    wide = replace(dense, shape=replace(dense.shape, ffn=10**6))
    fitting, tuning = make_batches(rows(1, 5)), make_batches(rows(1, 7))
    walk = Reconstruction(wide, pruned, fitting, tuning, "own", rounds=Rounds("obs"))
    with pytest.raises(MemoryShortError, match=r"reconstruction needs 149\d\d\.\d GiB of memory and .* is free; prune"):
        walk.run((0.1,), tmp_path / "refit", StreamCheckpoint(tmp_path / "state"))
    inputs = CurveInputs(wide, [], fitting, tuning, refit=True)
    with pytest.raises(MemoryShortError, match=r"search needs \d+\.\d GiB of memory and .* is free; use mask.method"):
        measure_curves(inputs, [32], StreamCheckpoint(tmp_path / "state"))

"""Rounds of any criterion against a slow direct computation, and what they are for: a refit changes what is worth keeping."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.calibrate import NeuronSums
from compressor.layers import LayerWeights, load_layer
from compressor.reconstruct.normal import Normal
from compressor.reconstruct.progressive import Measured, keep_progressively
from compressor.reconstruct.rounds import Rounds, rounds_for
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.reconstruct.test_walk import correlated_model, rows, views

FFN, HIDDEN = 12, 5
Score = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
SCORES: dict[str, Score] = {
    "wanda": lambda h, down: h.norm(dim=0) * down.abs().mean(0),
    "magnitude-down": lambda _, down: down.norm(dim=0),
    "flap": lambda h, down: h.var(dim=0, correction=0) * down.norm(dim=0).square(),
}


def measured(h: torch.Tensor, wanted: torch.Tensor, down: torch.Tensor, dense: LayerWeights) -> Measured:
    """A layer that gives `h` (tokens, ffn), float64; `down` is (hidden, ffn)."""
    zeros = torch.zeros(h.shape[1], dtype=torch.float64)
    sums = NeuronSums(h.square().sum(0), h.abs().sum(0), h.sum(0), zeros, zeros)
    matrices: dict[str, Any] = {"gate": h.new_ones(h.shape[1], 2).float(), "up": h.new_ones(h.shape[1], 2).float()}
    weights = LayerWeights(**{**vars(dense), **matrices, "down": down.float()})
    return Measured(weights, sums, len(h), Normal(h.T @ h, wanted.T @ h, biased=False))


def directly(score: Score, h: torch.Tensor, wanted: torch.Tensor, down: torch.Tensor, counts: list[int]) -> list[int]:
    """Ridge by stacked rows and least squares after every cut, scores from scratch."""
    kept, current = list(range(h.shape[1])), down
    for count in counts:
        order = score(h[:, kept], current).argsort(stable=True).tolist()
        kept = [column for place, column in enumerate(kept) if place not in order[:count]]
        strength = 0.01 * h[:, kept].square().sum(0).mean()
        above = torch.cat((h[:, kept], strength.sqrt() * torch.eye(len(kept), dtype=h.dtype)))
        right = torch.cat((wanted, strength.sqrt() * down[:, kept].T))
        current = torch.linalg.lstsq(above, right).solution.T
    return kept


@pytest.mark.parametrize("criterion", list(SCORES))
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), cut=st.tuples(st.integers(1, FFN - 1), st.integers(1, 5)))
def test_every_round_scores_the_refitted_layer(
    tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, criterion: str, seed: int, cut: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mixing, down = (torch.randn(size, FFN, generator=generator).double() for size in (FFN, HIDDEN))
    h = torch.randn(60, FFN, generator=generator).double() @ mixing
    wanted = h @ down.T + torch.randn(60, HIDDEN, generator=generator)
    dense, _ = views(tiny_folder, tmp_path_factory.mktemp("pruned"))
    width, count = cut
    removals = FFN - width
    counts = [removals * (turn + 1) // count - removals * turn // count for turn in range(count)]
    layer = measured(h, wanted, down, load_layer(dense, 0))
    found = keep_progressively(layer, dense, width, Rounds(criterion, count))
    assert found.tolist() == directly(SCORES[criterion], h, wanted, down, counts)


def test_one_round_is_left_to_the_mask() -> None:
    assert rounds_for("wanda", None) is None
    assert rounds_for("wanda", 1) is None
    assert rounds_for("wanda", 4) == Rounds("wanda", 4)
    assert rounds_for("obs", None) == Rounds("obs", 16)
    assert rounds_for("obs", 1) == Rounds("obs", 1)


def test_in_rounds_a_neuron_that_stands_in_for_another_stays(tmp_path: Path) -> None:
    """Near copies in pairs: a refit gives the work of the one that went to the one that is left, and so its score rises."""
    correlated_model(tmp_path / "model")
    (tmp_path / "pruned").mkdir()
    fitting, tuning = make_batches(rows(24, 5)), make_batches(rows(4, 7))
    pairs, errors = {}, {}
    with torch.inference_mode():
        dense, pruned = views(tmp_path / "model", tmp_path / "pruned")
        for count in (1, 8):
            walk = Reconstruction(dense, pruned, fitting, tuning, "own", rounds=Rounds("wanda", count))
            state = StreamCheckpoint(tmp_path / f"state-{count}")
            errors[count] = walk.run((0.001,), tmp_path / f"refit-{count}", state)[0].error_after
            pairs[count] = [len({neuron % 64 for neuron in kept.tolist()}) for kept in walk.kept]
    assert all(many > few for few, many in zip(pairs[1], pairs[8], strict=True))
    assert errors[8] < 0.8 * errors[1]

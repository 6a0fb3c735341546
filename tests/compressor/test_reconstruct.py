"""Ridge reconstruction: closed forms, the guard, and that it helps a real pruned stream."""

from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.checkpoint import Checkpoint, Overlay
from compressor.families import find_family
from compressor.layers import ModelView, stream_loss
from compressor.prune import replaced_tensors, write_pruned
from compressor.reconstruct.walk import Normal, Reconstruction, choose_down, ridge
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.tiny import make_model


def problem(tokens: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(tokens, 24, generator=generator)
    h[:, 12:] += 0.8 * h[:, :12]
    return h, h @ torch.randn(24, 6, generator=torch.Generator().manual_seed(9)), torch.randn(6, 12)


def normal(h: torch.Tensor, wanted: torch.Tensor) -> Normal:
    sums = Normal.zeros(h.shape[1], wanted.shape[1])
    for rows, targets in zip(torch.split(h, 150), torch.split(wanted, 150), strict=True):
        sums.add(rows, targets)
    return sums


def test_ridge_minimises_its_objective() -> None:
    """The gradient of ‖Y − hW'‖² + λ‖W' − W‖² vanishes."""
    h, wanted, down = problem()
    kept = h[:, :12]
    sums = normal(kept, wanted)
    refit = ridge(sums, down.double(), 0.05)
    strength = 0.05 * float(sums.gram.diagonal().mean())
    residual = wanted.double() - kept.double() @ refit.T
    gradient = -residual.T @ kept.double() + strength * (refit - down.double())
    assert float(gradient.abs().max()) < 1e-3 * float(sums.cross.abs().max())


def test_own_output_equals_the_published_form() -> None:
    """With Y the unpruned output: W_K + W_P·H_PK·(H_KK + λI)⁻¹."""
    h, _, _ = problem()
    h = h.double()
    full = torch.randn(6, 24, dtype=torch.float64)
    gram = h.T @ h
    share = 0.01
    strength = share * gram[:12, :12].diagonal().mean()
    inverse = torch.linalg.inv(gram[:12, :12] + strength * torch.eye(12, dtype=torch.float64))
    published = full[:, :12] + full[:, 12:] @ gram[12:, :12] @ inverse
    sums = Normal(gram[:12, :12], (h @ full.T).T @ h[:, :12], torch.tensor(0.0, dtype=torch.float64))
    torch.testing.assert_close(ridge(sums, full[:, :12], share), published)


def test_error_is_the_sum_of_squares() -> None:
    h, wanted, down = problem()
    kept = h[:, :12]
    expected = float((wanted.double() - kept.double() @ down.double().T).square().sum())
    assert normal(kept, wanted).error(down.double()) == pytest.approx(expected, rel=1e-5)


def test_a_refit_that_hurts_on_tuning_text_is_dropped() -> None:
    h, wanted, _ = problem()
    kept = h[:, :12]
    best = ridge(normal(kept, wanted), torch.zeros(6, 12, dtype=torch.float64), 1e-9)
    opposite = normal(kept, -wanted)
    down, choice = choose_down(opposite, normal(kept, wanted), best, (0.001, 0.1))
    assert choice.ridge is None
    assert torch.equal(down, best)
    _, helped = choose_down(normal(kept, wanted), normal(kept, wanted), torch.zeros_like(best), (0.001, 0.1))
    assert helped.ridge == 0.001
    assert helped.error_after < helped.error_before


def views(folder: Path, work: Path) -> tuple[ModelView, ModelView]:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape, frequencies = family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config)
    write_pruned(checkpoint, family, [torch.arange(64)] * shape.layers, work)
    pruned = Overlay(checkpoint, replaced_tensors(work))
    return ModelView(checkpoint, family, shape, frequencies), ModelView(pruned, family, shape, frequencies)


def correlated_model(folder: Path) -> None:
    """A model whose dropped neurons are near copies of kept ones: a refit can make up for nearly all of them."""
    model = make_model(folder, num_hidden_layers=3)
    with torch.no_grad():
        for layer in model.model.layers:
            for matrix in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
                matrix[64:] = matrix[:64] * 0.97
    model.save_pretrained(folder)


def rows(count: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [[0, *torch.randint(6, 512, (60,), generator=generator).tolist()] for _ in range(count)]


@pytest.mark.parametrize("target", ["dense", "own"])
def test_reconstruction_recovers_a_redundant_model(tmp_path: Path, target: Any) -> None:
    correlated_model(tmp_path / "model")
    (tmp_path / "pruned").mkdir()
    with torch.inference_mode():
        dense, pruned = views(tmp_path / "model", tmp_path / "pruned")
        tuning = make_batches(rows(4, 7))
        walk = Reconstruction(dense, pruned, make_batches(rows(24, 5)), tuning, target)
        choices = walk.run((0.001, 0.1), tmp_path / "refit", StreamCheckpoint(tmp_path / "state"))
        refitted = Overlay(pruned.source, replaced_tensors(tmp_path / "refit"))
        after = stream_loss(ModelView(refitted, dense.family, dense.shape, dense.frequencies), tuning)
        reference, before = stream_loss(dense, tuning), stream_loss(pruned, tuning)
    assert after == pytest.approx(walk.tuning_loss, abs=1e-5)
    assert abs(after - reference) < 0.1 * abs(before - reference)
    for choice in choices:
        assert choice.ridge is not None
        assert choice.error_after < 0.2 * choice.error_before


def test_an_interrupted_walk_continues_to_the_same_weights(tmp_path: Path) -> None:
    make_model(tmp_path / "model", num_hidden_layers=3)
    (tmp_path / "pruned").mkdir()
    steps = 0

    def stop() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyboardInterrupt

    with torch.inference_mode():
        dense, pruned = views(tmp_path / "model", tmp_path / "pruned")
        walk = Reconstruction(dense, pruned, make_batches(rows(6, 5)), make_batches(rows(2, 7)), "dense")
        whole = walk.run((0.1,), tmp_path / "whole", StreamCheckpoint(tmp_path / "unused"))
        with pytest.raises(KeyboardInterrupt):
            walk.run((0.1,), tmp_path / "cut", StreamCheckpoint(tmp_path / "state", every_s=0.0), stop)
        assert StreamCheckpoint(tmp_path / "state").load()[0] == 2
        resumed = walk.run((0.1,), tmp_path / "cut", StreamCheckpoint(tmp_path / "state"))
    assert resumed == whole
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()

"""The ridge: closed forms, singular second moments, the bias, and the guard on tuning text."""

import pytest
import torch

from compressor.reconstruct.normal import Held, Normal
from compressor.reconstruct.solve import choose_weight, solve_symmetric
from compressor.reconstruct.solve import ridge as change


def problem(tokens: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Twelve kept and twelve dropped neurons that go together, what all of them give, and a start."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(tokens, 24, generator=generator)
    h[:, 12:] += 0.8 * h[:, :12]
    wanted = h @ torch.randn(24, 6, generator=generator)
    return h, wanted, torch.randn(6, 12, generator=generator).double()


def normal(h: torch.Tensor, wanted: torch.Tensor, *, biased: bool = False) -> Normal:
    sums = Normal.zeros(h.shape[1], wanted.shape[1], biased=biased)
    for rows, targets in zip(torch.split(h, 150), torch.split(wanted, 150), strict=True):
        sums.add(rows, targets)
    return sums


def ridge(sums: Normal, start: torch.Tensor, share: float) -> torch.Tensor:
    return start + change(sums, sums.cross - start @ sums.gram, share)


def held(h: torch.Tensor, wanted: torch.Tensor) -> Held:
    rows = Held(biased=False)
    for part, targets in zip(torch.split(h, 150), torch.split(wanted, 150), strict=True):
        rows.add(part, targets)
    return rows


def test_ridge_minimises_its_objective() -> None:
    """The gradient of ‖Y − hW'‖² + λ‖W' − W‖² vanishes."""
    h, wanted, down = problem()
    kept = h[:, :12]
    sums = normal(kept, wanted)
    refit = ridge(sums, down, 0.05)
    strength = 0.05 * float(sums.gram.diagonal().mean())
    residual = wanted.double() - kept.double() @ refit.T
    gradient = -residual.T @ kept.double() + strength * (refit - down)
    assert float(gradient.abs().max()) < 1e-5 * float(sums.cross.abs().max())


def test_own_output_equals_the_published_form() -> None:
    """With Y the unpruned output: W_K + W_P·H_PK·(H_KK + λI)⁻¹."""
    h = problem()[0].double()
    full = torch.randn(6, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gram = h.T @ h
    strength = 0.01 * gram[:12, :12].diagonal().mean()
    inverse = torch.linalg.inv(gram[:12, :12] + strength * torch.eye(12, dtype=torch.float64))
    published = full[:, :12] + full[:, 12:] @ gram[12:, :12] @ inverse
    sums = Normal(gram[:12, :12], (h @ full.T).T @ h[:, :12], biased=False)
    torch.testing.assert_close(ridge(sums, full[:, :12], 0.01), published)


def test_a_bias_is_that_of_the_centred_equations() -> None:
    h, wanted, down = problem()
    kept, offset = h[:, :12] + torch.linspace(-1, 2, 12), wanted + torch.linspace(3, 5, 6)
    sums = normal(kept, offset, biased=True)
    refit = ridge(sums, torch.cat((down, torch.zeros(6, 1)), dim=1), 0.1)
    rows, targets = kept.double(), offset.double()
    strength = 0.1 * float((rows.T @ rows).diagonal().mean())
    rows_centred, targets_centred = rows - rows.mean(0), targets - targets.mean(0)
    damped = rows_centred.T @ rows_centred + strength * torch.eye(12)
    weight = torch.linalg.solve(damped, (targets_centred.T @ rows_centred + strength * down).T).T
    torch.testing.assert_close(refit[:, :-1], weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(refit[:, -1], targets.mean(0) - weight @ rows.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [1e-30, 0.01])
def test_dead_and_double_neurons_are_no_obstacle(share: float) -> None:
    """Singular second moments: the fit is that of the neurons that say something, a dead one keeps its weight."""
    h, wanted, down = problem()
    kept = h[:, :12].clone()
    kept[:, 3] = 0
    kept[:, 7] = kept[:, 5]
    refit = ridge(normal(kept, wanted), down, share)
    assert bool(torch.isfinite(refit).all())
    torch.testing.assert_close(refit[:, 3], down[:, 3])
    alive = [column for column in range(12) if column not in (3, 7)]
    best = torch.linalg.lstsq(kept[:, alive].double(), wanted.double()).solution
    reached = (kept.double() @ refit.T - wanted).square().sum()
    possible = (kept[:, alive].double() @ best - wanted).square().sum()
    assert float(reached) < float(possible) * (1 + 10 * share + 1e-6)


def test_a_layer_without_any_signal_keeps_its_slice() -> None:
    _, wanted, down = problem()
    torch.testing.assert_close(ridge(normal(torch.zeros(400, 12), wanted), down, 0.1), down)


def test_an_indefinite_matrix_goes_to_the_pseudo_inverse() -> None:
    """Rounding can leave a negative eigenvalue that no jitter mends; its direction stays out of the solution."""
    vectors = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))[0]
    values = torch.tensor([4.0, 3.0, 2.0, 1.0, -1e-3], dtype=torch.float64)
    right = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = solve_symmetric(vectors @ torch.diag(values) @ vectors.T, right)
    expected = vectors[:, :4] @ ((vectors[:, :4].T @ right) / values[:4, None])
    torch.testing.assert_close(found, expected)


def test_held_error_is_the_sum_of_squares() -> None:
    h, wanted, down = problem()
    kept = h[:, :12]
    expected = float((wanted.double() - kept.double() @ down.T).square().sum())
    assert held(kept, wanted).error(down) == pytest.approx(expected, rel=1e-5)


def test_a_refit_that_hurts_on_tuning_text_is_dropped() -> None:
    h, wanted, _ = problem()
    kept = h[:, :12]
    best = ridge(normal(kept, wanted), torch.zeros(6, 12, dtype=torch.float64), 1e-9)
    weight, choice = choose_weight(normal(kept, -wanted), held(kept, wanted), best, (0.001, 0.1))
    assert choice.ridge is None
    assert torch.equal(weight, best)
    start = torch.zeros_like(best)
    _, helped = choose_weight(normal(kept, wanted), held(kept, wanted), start, (0.001, 0.1))
    assert helped.ridge == 0.001
    assert helped.error_after < helped.error_before


def test_few_directions_choose_as_all_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """λ chosen along 64 of 300 directions, on text that calls for a strong one; errors are still those of all."""
    generator = torch.Generator().manual_seed(4)
    h = torch.randn(90, 40, generator=generator)
    weight = torch.randn(300, 40, generator=generator)
    wanted = h @ weight.T + 20 * torch.randn(90, 300, generator=generator)
    fit, rows = normal(h[:60], wanted[:60]), held(h[60:], wanted[60:])
    start, shares = torch.zeros(300, 40, dtype=torch.float64), (0.001, 0.1, 1.0, 10.0, 1000.0)
    exact, of_all = choose_weight(fit, rows, start, shares)
    monkeypatch.setattr("compressor.reconstruct.solve.PROBED", 64)
    probed, of_few = choose_weight(fit, rows, start, shares)
    assert of_few == of_all
    assert of_all.ridge not in (None, 0.001, 1000.0)
    assert torch.equal(probed, exact)
    assert of_all.error_after == pytest.approx(min(rows.error(ridge(fit, start, share)) for share in shares))

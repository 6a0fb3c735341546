"""Learned gates with LoRA: the rate loss, the straight-through draw, the exact projection, and that gates find what matters."""

import math
from pathlib import Path

import pytest
import torch

from compressor.compare.atp import GateTask, due_looks, gumbel_gates, learn_gates, project, rate_loss
from compressor.export_hf import ffn_widths
from compressor.job import open_job
from compressor.layers import stream_loss
from compressor.recipe.load import parse_recipe
from compressor.rows import make_batches
from tests.compressor.runs import Silent
from tests.compressor.tiny import make_model

RECIPE = """
[mask]
multiple = 32
steps = {steps}
[budget]
ffn_share = 0.5
[heal]
data = "starter"
rank = 4
learning_rate = {rate}
"""


def task(folder: Path, out: Path, steps: int, rate: float = 1e-3) -> GateTask:
    recipe = parse_recipe(RECIPE.format(steps=steps, rate=rate), "r")
    job = open_job("tiny", folder, ("r", recipe), out=out, data=None, reporter=Silent())
    generator = torch.Generator().manual_seed(2)
    rows = [[0, *torch.randint(6, 512, (40,), generator=generator).tolist()] for _ in range(10)]
    return GateTask(job, rows[:8], rows[8:], kept_total=128, seed=0)


def test_the_rate_loss_is_zero_at_the_target_and_alike_on_both_sides() -> None:
    assert float(rate_loss(torch.tensor(0.5), 0.5)) == 0
    for kept, target in ((0.25, 0.5), (0.5, 0.25)):
        assert float(rate_loss(torch.tensor(kept), target)) == pytest.approx(math.log(2))


def test_gates_are_drawn_with_the_probability_of_their_logit_and_pass_gradients() -> None:
    logits = torch.tensor([-2.0, 0.0, 1.0, 3.0]).repeat(20_000, 1).requires_grad_()
    gates = gumbel_gates(logits, torch.Generator().manual_seed(0))
    assert set(gates.detach().flatten().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(gates.detach().mean(0), torch.sigmoid(logits[0].detach()), atol=0.01, rtol=0)
    gates.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert bool((logits.grad.mean(0) > 0).all())


def test_the_projection_keeps_exactly_the_budget() -> None:
    logits = torch.randn((3, 128), generator=torch.Generator().manual_seed(1))
    kept = project(logits, 160, 32)
    assert sum(part.numel() for part in kept) == 160
    for part, layer in zip(kept, logits, strict=True):
        assert part.numel() % 32 == 0
        assert part.numel() >= 32
        assert set(part.tolist()) == set(layer.topk(part.numel()).indices.tolist())


@pytest.mark.parametrize("steps", [1, 2, 5, 12, 60, 300])
def test_looks_lie_in_the_second_half_and_end_with_the_last_step(steps: int) -> None:
    looks = due_looks(steps)
    assert max(looks) == steps
    assert min(looks) >= round(steps / 2)
    assert 1 <= len(looks) <= 5


def test_learned_gates_repeat_themselves_and_the_best_look_is_what_is_measured(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    gates = task(tmp_path / "model", tmp_path, steps=12)
    with torch.inference_mode():
        first = learn_gates(gates, tmp_path / "one")
        again = learn_gates(gates, tmp_path / "two")
        loss = stream_loss(gates.job.view(first.source), make_batches(gates.tuning))
    losses = dict(first.tuning_losses)
    assert set(losses) == due_looks(12)
    assert losses[first.best_step] == min(losses.values())
    assert loss == pytest.approx(min(losses.values()), abs=1e-4)
    assert sum(ffn_widths(first.source, gates.job.family, gates.job.shape)) == 128
    for name in first.source.names():
        assert torch.equal(first.source.tensor(name), again.source.tensor(name))


def test_adapters_are_those_of_the_recipe(tmp_path: Path) -> None:
    """Of rank 4 and at the recipe's learning rate; with one that is next to nothing the weights stay as they came."""
    make_model(tmp_path / "model")
    gates, frozen = (task(tmp_path / "model", tmp_path, 6, rate) for rate in (1e-2, 1e-12))
    with torch.inference_mode():
        moved, still = (
            learn_gates(each, tmp_path / name).source for name, each in (("moved", gates), ("still", frozen))
        )
    name = gates.job.family.layer_names(0).q
    dense = gates.job.checkpoint.tensor(name).float()
    torch.testing.assert_close(still.tensor(name), dense, atol=1e-7, rtol=0)
    delta = moved.tensor(name) - dense
    assert float(delta.norm()) > 1e-3
    assert int(torch.linalg.matrix_rank(delta.double(), rtol=1e-4)) == 4

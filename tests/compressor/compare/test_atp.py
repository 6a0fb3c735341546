"""Learned gates with LoRA: the rate loss, the straight-through draw, the exact projection, and that gates find what matters."""

import math
from pathlib import Path

import pytest
import torch

from compressor.compare.atp import GateTask, gumbel_gates, learn_gates, project, rate_loss
from compressor.export_hf import ffn_widths
from compressor.job import open_job
from compressor.layers import stream_loss
from compressor.recipe.load import parse_recipe
from compressor.rows import make_batches
from compressor.walk import Advance
from tests.compressor.tiny import make_model

RECIPE = "[mask]\nmultiple = 32\n[budget]\nffn_share = 0.5\n"


class Silent:
    def step(self, _label: str, _total: int) -> Advance:
        return lambda: None

    def say(self, _line: str) -> None:
        return


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


def test_learned_gates_beat_the_worst_neurons_and_repeat_themselves(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    job = open_job(
        "tiny", tmp_path / "model", ("r", parse_recipe(RECIPE, "r")), out=tmp_path, data=None, reporter=Silent()
    )
    generator = torch.Generator().manual_seed(2)
    rows = [[0, *torch.randint(6, 512, (40,), generator=generator).tolist()] for _ in range(8)]
    task = GateTask(job, rows, kept_total=128, seed=0, steps=12)
    with torch.inference_mode():
        first = learn_gates(task, tmp_path / "one")
        again = learn_gates(task, tmp_path / "two")
        loss = stream_loss(job.view(first), make_batches(rows))
        untrained = stream_loss(
            job.view(learn_gates(GateTask(job, rows, 128, seed=0, steps=0), tmp_path / "none")), make_batches(rows)
        )
    assert sum(ffn_widths(first, job.family, job.shape)) == 128
    assert loss < untrained
    for name in first.names():
        assert torch.equal(first.tensor(name), again.tensor(name))

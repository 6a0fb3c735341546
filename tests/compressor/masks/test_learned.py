"""Learned masks: gradients against finite differences, planted neurons, exact budgets, resuming."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import MemoryShortError
from compressor.layers import ModelView, stream_loss
from compressor.masks import learned
from compressor.masks.budget import Cost
from compressor.masks.gates import Gates, as_masks
from compressor.masks.learned import LearningInputs, MaskedModel, learn_masks, target_share, temperature
from compressor.recipe.tables import Mask
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.masks.planted import USELESS, own_rows, planted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelView, list[torch.Tensor]]:
    return planted(tmp_path_factory.mktemp("planted") / "model")


@pytest.fixture(scope="module")
def text(model: tuple[ModelView, list[torch.Tensor]]) -> list[list[int]]:
    return own_rows(model[0], 40, seed=3)


def inputs(view: ModelView, rows: list[list[int]], **changes: Any) -> LearningInputs:
    shape = view.shape
    neurons = shape.layers * shape.ffn
    evidence = torch.rand((shape.layers, 2, shape.ffn), generator=torch.Generator().manual_seed(8))
    base = LearningInputs(
        dense=view,
        config=view.source.config,  # type: ignore[attr-defined]
        evidence=evidence,
        calibrate=rows[:32],
        tuning=rows[32:],
        cost=Cost(shape.layers, shape.ffn, 50_000, 3 * shape.hidden, 0, 1.0),
        mask=Mask(method="learned", multiple=32, steps=60),
        kept_total=neurons // 2,
        one_width=False,
        seed=0,
    )
    return replace(base, **changes)


def test_masks_multiply_the_input_of_down(model: tuple[ModelView, list[torch.Tensor]], text: list[list[int]]) -> None:
    """All ones: the streamed dense loss. Useless neurons off: the same. Useful ones off: another."""
    view, useful = model
    batches = make_batches(text[:8])
    masked = MaskedModel(inputs(view, text))
    whole = masked.mean_loss(batches, torch.ones(2, 128))
    assert whole == pytest.approx(stream_loss(view, batches), abs=1e-5)
    assert masked.mean_loss(batches, as_masks(useful, 128)) == pytest.approx(whole, abs=1e-6)
    assert masked.mean_loss(batches, 1 - as_masks(useful, 128)) > whole + 0.01


@pytest.mark.parametrize("heat", [1.0, 0.1])
def test_gradients_are_those_of_the_soft_relaxation(heat: float) -> None:
    """Central differences of Σ c·σ(z / T) in float64, for the thresholds and a few logits."""
    generator = torch.Generator().manual_seed(1)
    evidence, weights = torch.rand((2, 2, 24), generator=generator), torch.randn((2, 24), generator=generator)
    gates = Gates(evidence)
    with torch.no_grad():
        gates.logits.normal_(generator=generator).mul_(0.2)
        gates.thresholds.fill_(0.4)
    (gates.masks(heat) * weights).sum().backward()  # type: ignore[no-untyped-call]

    def soft(logits: torch.Tensor, thresholds: torch.Tensor) -> float:
        relative = logits.double() + (evidence.double() - thresholds.double()[:, :, None]).amax(1)
        return float((torch.sigmoid(relative / heat) * weights.double()).sum())

    step = 1e-6
    for parameter, other in ((gates.thresholds, gates.logits), (gates.logits, gates.thresholds)):
        assert parameter.grad is not None
        for index in range(0, parameter.numel(), 5 if parameter is gates.logits else 1):
            values = []
            for sign in (1, -1):
                moved = parameter.detach().double().clone()
                moved.view(-1)[index] += sign * step
                pair = (other.detach(), moved) if parameter is gates.thresholds else (moved, other.detach())
                values.append(soft(*pair))
            slope = (values[0] - values[1]) / (2 * step)
            assert float(parameter.grad.view(-1)[index]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_the_forward_pass_is_hard_and_low_in_both_goes() -> None:
    gates = Gates(torch.tensor([[[0.1, 0.9, 0.2, 0.8], [0.2, 0.1, 0.9, 0.7]]]))
    assert gates.masks(1.0).tolist() == [[1.0, 1.0, 1.0, 1.0]]
    with torch.no_grad():
        gates.thresholds.fill_(0.5)
    assert gates.masks(0.3).tolist() == [[0.0, 1.0, 1.0, 1.0]]
    assert [kept.tolist() for kept in gates.project(2, 2, one_width=True)] == [[1, 2]]


@given(
    seed=st.integers(0, 99),
    layers=st.integers(1, 4),
    blocks=st.integers(1, 4),
    one_width=st.booleans(),
    data=st.data(),
)
def test_projection_keeps_the_exact_budget(
    seed: int, layers: int, blocks: int, one_width: bool, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(seed)
    gates = Gates(torch.rand((layers, 2, blocks * 32), generator=generator))
    with torch.no_grad():
        gates.logits.normal_(generator=generator)
    total = data.draw(st.integers(1, blocks)) * layers if one_width else data.draw(st.integers(layers, layers * blocks))
    kept = gates.project(total * 32, 32, one_width=one_width)
    assert sum(indices.numel() for indices in kept) == total * 32
    for indices, relative in zip(kept, gates.relative().detach(), strict=True):
        assert indices.numel() % 32 == 0
        assert 0 < indices.numel() <= blocks * 32
        dropped = torch.ones(blocks * 32, dtype=torch.bool)
        dropped[indices] = False
        if bool(dropped.any()):
            assert float(relative[indices].min()) >= float(relative[dropped].max())


def test_exactly_the_planted_neurons_are_dropped(
    model: tuple[ModelView, list[torch.Tensor]], text: list[list[int]], tmp_path: Path
) -> None:
    """The scores are all equal, so only back-propagation can tell them; what is left loses nothing."""
    view, useful = model
    assert view.shape.ffn == USELESS * 2
    mask = Mask(method="learned", multiple=32, steps=100, distillation=10.0)
    learning = inputs(view, text, mask=mask, evidence=torch.full((2, 2, 128), 0.5))
    found = learn_masks(learning, StreamCheckpoint(tmp_path / "state"))
    for kept, wanted in zip(found.kept, useful, strict=True):
        assert torch.equal(kept, wanted)
    assert found.tuning_loss == pytest.approx(stream_loss(view, make_batches(text[32:])), abs=1e-5)


def test_one_width_for_all_and_distillation(
    model: tuple[ModelView, list[torch.Tensor]], text: list[list[int]], tmp_path: Path
) -> None:
    mask = Mask(method="learned", multiple=32, steps=4, distillation=1.0)
    found = learn_masks(inputs(model[0], text, one_width=True, mask=mask), StreamCheckpoint(tmp_path / "state"))
    assert [indices.numel() for indices in found.kept] == [64, 64]


@pytest.mark.parametrize("inference", [False, True])
def test_an_interrupted_run_learns_the_same(
    model: tuple[ModelView, list[torch.Tensor]], text: list[list[int]], tmp_path: Path, inference: bool
) -> None:
    learning = inputs(model[0], text, mask=Mask(method="learned", multiple=32, steps=12))
    done = 0

    def stop() -> None:
        nonlocal done
        done += 1
        if done == 10:
            raise KeyboardInterrupt

    with torch.inference_mode(inference):
        whole = learn_masks(learning, StreamCheckpoint(tmp_path / "unused"))
        with pytest.raises(KeyboardInterrupt):
            learn_masks(learning, StreamCheckpoint(tmp_path / "state", every_s=0.0), stop)
        assert StreamCheckpoint(tmp_path / "state").load()[0] == 10
        resumed = learn_masks(learning, StreamCheckpoint(tmp_path / "state"))
    assert resumed.tuning_loss == whole.tuning_loss
    for ours, theirs in zip(resumed.kept, whole.kept, strict=True):
        assert torch.equal(ours, theirs)


def test_a_model_that_does_not_fit_is_refused_with_numbers(
    model: tuple[ModelView, list[torch.Tensor]], text: list[list[int]], tmp_path: Path
) -> None:
    huge = Cost(2, 128, 10**15, 1, 0, 1.0)
    with pytest.raises(MemoryShortError, match=r"mask.method = learned needs \d+\.\d GiB .* is free; use global"):
        learn_masks(inputs(model[0], text, cost=huge), StreamCheckpoint(tmp_path / "state"))


def test_schedules() -> None:
    shares = [target_share(step, 100, 0.33) for step in range(100)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95
    assert shares[59] == pytest.approx(0.33)
    assert shares[99] == pytest.approx(0.33)
    assert temperature(0, 300) == 1.0
    assert temperature(299, 300) == pytest.approx(learned.COLDEST)
    assert target_share(0, 1, 0.5) == 0.5

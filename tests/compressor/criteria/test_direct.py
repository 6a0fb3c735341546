"""Every criterion against a slow direct computation from what plain transformers lets through its layers."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.criteria.score import CRITERIA, ScoringInputs, count_steps, score_layers
from compressor.criteria.taylor import taylor
from compressor.recipe.tables import Saliency
from compressor.walk import StreamCheckpoint
from tests.compressor.criteria.measured import LAYERS, Seen, rows, scoring_inputs, seen


@pytest.fixture(scope="module")
def inputs(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ScoringInputs:
    return scoring_inputs(tiny_folder, tmp_path_factory.mktemp("state") / "state")


def direct_activation(layer: Seen) -> torch.Tensor:
    return torch.stack([column.norm() for column in layer.h.unbind(1)])


def direct_wanda(layer: Seen) -> torch.Tensor:
    weights = [sum(abs(float(w)) for w in column) / column.numel() for column in layer.down.unbind(1)]
    return direct_activation(layer) * torch.tensor(weights, dtype=torch.float64)


def direct_flap(layer: Seen) -> torch.Tensor:
    centred = layer.h - layer.h.mean(0)
    return centred.square().mean(0) * torch.stack([column.square().sum() for column in layer.down.unbind(1)])


def direct_magnitude_down(layer: Seen) -> torch.Tensor:
    return torch.stack([column.norm() for column in layer.down.unbind(1)])


def direct_magnitude_all(layer: Seen) -> torch.Tensor:
    groups = zip(layer.gate.unbind(0), layer.up.unbind(0), layer.down.unbind(1), strict=True)
    return torch.stack([sum(part.norm() ** 2 for part in group) / 3 for group in groups])


def direct_saliency(layer: Seen) -> torch.Tensor:
    """Ranks by counting: how many lie below, ties at their middle."""
    gates = (layer.x @ layer.gate.T).requires_grad_(True)
    (slopes,) = torch.autograd.grad(torch.nn.functional.silu(gates).sum(), gates)

    def rank(values: torch.Tensor) -> torch.Tensor:
        below = (values[None, :] < values[:, None]).sum(1)
        return below.double() / (values.numel() - 1)

    return torch.maximum(rank(layer.h.square().mean(0)), rank(slopes.square().mean(0)))


DIRECT: dict[str, Callable[[Seen], torch.Tensor]] = {
    "saliency": direct_saliency,
    "magnitude-down": direct_magnitude_down,
    "magnitude-all": direct_magnitude_all,
    "activation": direct_activation,
    "wanda": direct_wanda,
    "flap": direct_flap,
}


@pytest.mark.parametrize("criterion", DIRECT)
def test_a_criterion_equals_its_definition(criterion: str, inputs: ScoringInputs, tiny_folder: Path) -> None:
    with torch.inference_mode():
        scores = score_layers(criterion, inputs)
    for ours, layer in zip(scores, seen(tiny_folder), strict=True):
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours, DIRECT[criterion](layer), rtol=2e-4, atol=1e-9)


def test_jacobian_equals_every_entry_by_automatic_differentiation(inputs: ScoringInputs, tiny_folder: Path) -> None:
    """Root mean square of the Frobenius norm of ∂(W_d[:,j] h_j(x))/∂x, for five neurons j."""
    chosen = torch.tensor([0, 31, 64, 100, 127])
    for ours, layer in zip(score_layers("jacobian", inputs), seen(tiny_folder), strict=True):
        gate, up, down = layer.gate[chosen], layer.up[chosen], layer.down[:, chosen]
        x = layer.x.requires_grad_(True)
        contribution = (torch.nn.functional.silu(x @ gate.T) * (x @ up.T))[:, None, :] * down
        squares = torch.zeros(len(chosen), dtype=torch.float64)
        for index in range(len(chosen)):
            for row in range(down.shape[0]):
                (entries,) = torch.autograd.grad(contribution[:, row, index].sum(), x, retain_graph=True)
                squares[index] += entries.square().sum()
        torch.testing.assert_close(ours[chosen], (squares / len(x)).sqrt(), rtol=2e-4, atol=1e-9)


def test_taylor_continues_where_it_was_interrupted(inputs: ScoringInputs, tmp_path: Path) -> None:
    steps = 0

    def stop() -> None:
        nonlocal steps
        steps += 1
        if steps == len(inputs.rows) // 2:
            raise KeyboardInterrupt

    whole = taylor(inputs.model, inputs.config, inputs.rows)
    with pytest.raises(KeyboardInterrupt):
        taylor(inputs.model, inputs.config, inputs.rows, stop, StreamCheckpoint(tmp_path / "state", every_s=0.0))
    state = StreamCheckpoint(tmp_path / "state", every_s=0.0)
    assert state.load()[0] == len(inputs.rows) // 2
    resumed = taylor(inputs.model, inputs.config, inputs.rows, state=state)
    assert all(torch.equal(found, expected) for found, expected in zip(resumed, whole, strict=True))


def test_taylor_equals_one_backward_pass_over_the_whole_text(inputs: ScoringInputs, tiny_folder: Path) -> None:
    """LLM-Pruner's formula on the mean loss of all rows at once; ours adds gradients row by row."""
    with torch.inference_mode():
        scores = score_layers("taylor", inputs)
    model = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    losses = []
    for row in rows():
        logits = model(torch.tensor([row])).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(row[1:]), reduction="none"))
    torch.autograd.backward(torch.cat(losses).mean())
    for ours, layer in zip(scores, model.model.layers, strict=True):
        ffn = layer.mlp
        direct = (ffn.gate_proj.weight * ffn.gate_proj.weight.grad).abs().sum(1)
        direct = direct + (ffn.up_proj.weight * ffn.up_proj.weight.grad).abs().sum(1)
        direct = direct + (ffn.down_proj.weight * ffn.down_proj.weight.grad).abs().sum(0)
        torch.testing.assert_close(ours, direct.detach().double(), rtol=2e-4, atol=1e-9)


def test_every_criterion_is_in_the_recipe_and_measured_here() -> None:
    assert set(CRITERIA) == {*DIRECT, "jacobian", "random", "taylor"}
    assert set(CRITERIA) <= set(get_args(Saliency.model_fields["criterion"].annotation))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_progress_ends_at_its_total_and_scores_repeat(criterion: str, inputs: ScoringInputs) -> None:
    steps = []
    first = score_layers(criterion, inputs, lambda: steps.append(1))
    assert len(steps) == count_steps(criterion, inputs)
    assert len(first) == LAYERS
    for ours, again in zip(first, score_layers(criterion, inputs), strict=True):
        assert torch.equal(ours, again)
        assert bool(torch.isfinite(ours).all())

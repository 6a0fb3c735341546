"""The layer stream against transformers, and the closed-form sums against automatic differentiation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.calibrate import Statistics, calibrate, load_statistics, save_statistics
from compressor.checkpoint import Checkpoint
from compressor.families import find_family
from compressor.families.llama import LlamaFamily
from compressor.layers import HEAD_POSITIONS, HEAD_ROWS, ModelView, load_layer, rms_norm, row_losses, stream_loss
from compressor.masks.divergence import Divergence, final_states
from compressor.rows import count_tokens, make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.tiny import make_model

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def view(folder: Path) -> ModelView:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    return ModelView(checkpoint, family, family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config))


def rows(count: int = 5) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = [40, 17, 33, 40, 25][:count]
    return [[0, *torch.randint(6, 512, (length,), generator=generator).tolist()] for length in lengths]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tie_word_embeddings": False, "num_key_value_heads": 4},
        {"rope_parameters": LLAMA3_SCALING},
        {"head_dim": 24, "rms_norm_eps": 1e-3},
    ],
)
def test_loss_equals_transformers(tmp_path: Path, config: dict[str, Any]) -> None:
    make_model(tmp_path, **config)
    model = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    samples = rows()
    with torch.inference_mode():
        nats = sum(
            float(model(torch.tensor([row]), labels=torch.tensor([row])).loss) * (len(row) - 1) for row in samples
        )
        ours = stream_loss(view(tmp_path), make_batches(samples, rows=2))
    assert ours == pytest.approx(nats / sum(len(row) - 1 for row in samples), abs=2e-5)


def test_loss_and_divergence_over_parts_of_vocabulary_and_positions(tmp_path: Path) -> None:
    """Two parts of 9,000 tokens and two of 384 positions, the second ragged."""
    models, generator = [], torch.Generator().manual_seed(2)
    for seed in (0, 1):
        make_model(tmp_path / str(seed), seed, vocab_size=HEAD_ROWS + 808, hidden_size=16)
        models.append(LlamaForCausalLM.from_pretrained(tmp_path / str(seed)).eval())
    models[1].lm_head.weight, models[1].model.norm.weight = models[0].lm_head.weight, models[0].model.norm.weight
    models[1].save_pretrained(tmp_path / "1")
    samples = torch.randint(6, HEAD_ROWS + 808, (3, HEAD_POSITIONS // 2), generator=generator)
    batches = make_batches(samples.tolist(), rows=3)
    with torch.inference_mode():
        expected, found = (model(samples).logits.double().log_softmax(-1) for model in models)
    nats = -expected[:, :-1].gather(2, samples[:, 1:, None])[..., 0].sum(1)

    losses = row_losses(view(tmp_path / "0"), final_states(view(tmp_path / "0"), batches), batches)
    divergence = Divergence(view(tmp_path / "0"), batches)

    assert [loss for loss, _ in losses] == pytest.approx(nats.tolist(), rel=1e-5)
    kl = float((expected.exp() * (expected - found)).sum(-1).mean())
    assert divergence.of_model(view(tmp_path / "1")) == pytest.approx(kl, rel=1e-4)
    assert divergence.of_model(view(tmp_path / "0")) == pytest.approx(0, abs=1e-9)


def test_padding_and_batching_change_nothing(tiny_folder: Path) -> None:
    model = view(tiny_folder)
    with torch.inference_mode():
        losses = [stream_loss(model, make_batches(rows(), rows=size)) for size in (1, 2, 5)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert losses[0] == pytest.approx(losses[2], abs=1e-6)


def run_calibration(folder: Path, state: StreamCheckpoint) -> Statistics:
    with torch.inference_mode():
        return calibrate(view(folder), make_batches(rows(), rows=2), state)


def test_sums_equal_autograd(tiny_folder: Path, tmp_path: Path) -> None:
    """Σ‖∂h/∂x‖² and the rest, token by token with torch.func on the second layer's true inputs."""
    model = view(tiny_folder)
    statistics = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "s"))
    inputs = _second_layer_inputs(tiny_folder)
    weights = load_layer(model, 1)

    def inner(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(weights.gate @ x) * (weights.up @ x)

    jacobian = torch.zeros(128, dtype=torch.float64)
    h_squared, slope = torch.zeros_like(jacobian), torch.zeros_like(jacobian)
    for x in inputs:
        jacobian += torch.func.jacrev(inner)(x).double().square().sum(1)
        h_squared += inner(x).double().square()
        slope += torch.func.grad(lambda g: torch.nn.functional.silu(g).sum())(weights.gate @ x).double().square()
    sums = statistics.layers[1]
    assert statistics.tokens == len(inputs) == count_tokens(make_batches(rows()))
    torch.testing.assert_close(sums.jacobian_squared, jacobian, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sums.h_squared, h_squared, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sums.slope_squared, slope, rtol=1e-4, atol=1e-6)


def _second_layer_inputs(folder: Path) -> torch.Tensor:
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    seen: list[torch.Tensor] = []
    model.model.layers[1].mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    with torch.no_grad():
        for row in rows():
            model(torch.tensor([row]))
    return torch.cat(seen)


def test_signed_and_absolute_sums(tiny_folder: Path, tmp_path: Path) -> None:
    sums = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "s")).layers[0]
    assert bool((sums.h.abs() <= sums.h_absolute + 1e-9).all())
    assert bool((sums.h.abs() < sums.h_absolute).any())


def test_an_interrupted_walk_continues_to_the_same_sums(tiny_folder: Path, tmp_path: Path) -> None:
    whole = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "whole"))
    state = StreamCheckpoint(tmp_path / "state", every_s=0.0)

    def stop() -> None:
        raise KeyboardInterrupt

    with torch.inference_mode(), pytest.raises(KeyboardInterrupt):
        calibrate(view(tiny_folder), make_batches(rows(), rows=2), state, stop)
    assert state.load()[0] == 1
    resumed = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "state"))
    for ours, theirs in zip(resumed.layers, whole.layers, strict=True):
        for name, tensor in vars(ours).items():
            assert torch.equal(tensor, vars(theirs)[name])


def test_statistics_survive_the_disk(tiny_folder: Path, tmp_path: Path) -> None:
    statistics = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "s"))
    save_statistics(tmp_path / "stats.safetensors", statistics)
    loaded = load_statistics(tmp_path / "stats.safetensors", 2)
    assert loaded.tokens == statistics.tokens
    assert torch.equal(loaded.layers[1].jacobian_squared, statistics.layers[1].jacobian_squared)


def test_slope_is_the_derivative() -> None:
    gate = torch.linspace(-8, 8, 101, dtype=torch.float64, requires_grad=True)
    family = LlamaFamily()
    (slope,) = torch.autograd.grad(family.activation(gate).sum(), gate)
    torch.testing.assert_close(family.activation_slope(gate), slope)


def test_norm_equals_torch() -> None:
    x, weight = torch.randn(3, 8), torch.rand(8)
    torch.testing.assert_close(rms_norm(x, weight, 1e-5), torch.nn.functional.rms_norm(x, (8,), weight, 1e-5))

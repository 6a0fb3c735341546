"""SliceGPT: a full-width rotation changes nothing, parameters are counted exactly, slicing keeps the leading directions."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.checkpoint import Checkpoint
from compressor.compare.slicegpt import count_parameters, slice_model, slice_width, sliced_logits, sliced_losses
from compressor.errors import BudgetError, MemoryShortError
from compressor.families import find_family
from compressor.layers import ModelView, load_layer, mean_loss, stream_loss
from compressor.rows import Batch, make_batches


@pytest.fixture(scope="module")
def view(tiny_folder: Path) -> ModelView:
    checkpoint = Checkpoint(tiny_folder)
    family = find_family(checkpoint.config)
    return ModelView(checkpoint, family, family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config))


def rows(count: int, seed: int = 3) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(20, 60, (count,), generator=generator).tolist()
    return [[0, *torch.randint(6, 512, (length,), generator=generator).tolist()] for length in lengths]


@torch.inference_mode()
def test_all_directions_kept_give_the_logits_of_transformers(view: ModelView, tiny_folder: Path) -> None:
    sliced = slice_model(view, make_batches(rows(6)), view.shape.hidden)
    ids = torch.tensor(rows(1, seed=8))
    expected = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()(ids).logits
    torch.testing.assert_close(sliced_logits(sliced, ids), expected, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_losses_are_those_of_the_stream_and_padding_counts_in_none(view: ModelView) -> None:
    batches = make_batches(rows(6))
    sliced = slice_model(view, batches, view.shape.hidden)
    assert mean_loss(sliced_losses(sliced, batches)) == pytest.approx(stream_loss(view, batches), abs=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("width", [9, 40, 64])
def test_parameters_are_what_is_stored(view: ModelView, width: int) -> None:
    sliced = slice_model(view, make_batches(rows(3)), width)
    assert sliced.parameters == count_parameters(view.shape, width)
    # By hand: two layers of 64 wide (q and o), 32 wide (k and v), three matrices of 128 neurons, two residual matrices; the
    # last layer's down and residual and the head keep all 64.
    attention, gate_and_up = width * (64 + 32 + 32 + 64), 2 * width * 128
    first = attention + gate_and_up + width * 128 + 2 * width * width
    last = attention + gate_and_up + 64 * 128 + width * width + width * 64
    assert sliced.parameters == 512 * width + 512 * 64 + first + last


@torch.inference_mode()
def test_the_head_and_the_last_ffn_s_output_are_rotated_but_whole(view: ModelView) -> None:
    """As by default in its code: what the head reads is the last layer's stream, nothing of it left out."""
    sliced = slice_model(view, make_batches(rows(3)), 24)
    last = sliced.layers[-1]
    assert sliced.head.shape == (512, 64)
    assert last.weights.down.shape == (64, 128)
    assert last.ffn_residual.shape == (24, 64)
    dense = load_layer(view, view.shape.layers - 1).down
    rotation = last.weights.down @ torch.linalg.pinv(dense)
    torch.testing.assert_close(rotation.T @ last.weights.down, dense, atol=1e-4, rtol=1e-3)


def test_too_little_memory_is_said_with_numbers(view: ModelView) -> None:
    """A text of terabytes; the memory of no machine is asked for before the refusal."""
    batch = make_batches(rows(1))[0]
    endless = Batch(batch.ids.expand(1 << 40, -1), batch.valid.expand(1 << 40, -1))
    with pytest.raises(MemoryShortError, match=r"slicegpt .* needs \d+\.\d GiB .* GiB is free"):
        slice_model(view, [endless], 24)


def test_the_width_is_the_largest_that_fits(view: ModelView) -> None:
    for budget in (70_000, 81_234, 100_000):
        width = slice_width(view.shape, budget)
        assert count_parameters(view.shape, width) <= budget < count_parameters(view.shape, width + 1)
    with pytest.raises(BudgetError, match="smallest is"):
        slice_width(view.shape, 100)


@torch.inference_mode()
def test_the_slice_keeps_the_directions_that_the_stream_uses(view: ModelView, tmp_path: Path) -> None:
    """A stream that lives in 24 of 64 directions survives a cut to 24; a cut to 12 does not."""
    model = LlamaForCausalLM.from_pretrained(view.source.folder, dtype=torch.float32)  # type: ignore[attr-defined]
    basis = torch.linalg.qr(torch.randn(64, 24, generator=torch.Generator().manual_seed(1))).Q
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight @ basis @ basis.T)
        for layer in model.model.layers:
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
                linear.weight.copy_(basis @ basis.T @ linear.weight)
    model.save_pretrained(tmp_path)
    checkpoint = Checkpoint(tmp_path)
    low = ModelView(checkpoint, view.family, view.shape, view.frequencies)
    batches = make_batches(rows(6))
    dense = stream_loss(low, batches)
    exact = mean_loss(sliced_losses(slice_model(low, batches, 24), batches))
    assert exact == pytest.approx(dense, abs=1e-4)
    assert abs(mean_loss(sliced_losses(slice_model(low, batches, 12), batches)) - dense) > 0.01

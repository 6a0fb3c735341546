"""The walk: it helps a real pruned stream, resumes to the same bytes, and what it says of itself is so."""

from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.checkpoint import Checkpoint, Overlay
from compressor.families import find_family
from compressor.layers import ModelView, stream_loss
from compressor.prune import replaced_tensors, write_pruned
from compressor.reconstruct.rounds import Rounds
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.tiny import make_model


def views(folder: Path, work: Path, kept: torch.Tensor | None = None) -> tuple[ModelView, ModelView]:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape, frequencies = family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config)
    indices = torch.arange(64) if kept is None else kept
    write_pruned(checkpoint, family, [indices] * shape.layers, work)
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


@pytest.mark.parametrize("criterion", ["obs", "obs-exact"])
def test_rounds_choose_neurons_that_stand_in_for_the_others(tmp_path: Path, criterion: Any) -> None:
    """The mask keeps both of half the pairs and none of the others; rounds keep one or both of nearly every pair."""
    correlated_model(tmp_path / "model")
    (tmp_path / "pruned").mkdir()
    both_of_half = torch.cat((torch.arange(32), torch.arange(64, 96)))
    with torch.inference_mode():
        dense, pruned = views(tmp_path / "model", tmp_path / "pruned", both_of_half)
        fitting, tuning = make_batches(rows(24, 5)), make_batches(rows(4, 7))
        plain = Reconstruction(dense, pruned, fitting, tuning, "own")
        walk = Reconstruction(dense, pruned, fitting, tuning, "own", bias=True, rounds=Rounds(criterion))
        slices = plain.run((0.001,), tmp_path / "plain", StreamCheckpoint(tmp_path / "state"))
        choices = walk.run((0.001,), tmp_path / "refit", StreamCheckpoint(tmp_path / "state"))
        refitted = Overlay(dense.source, replaced_tensors(tmp_path / "refit"))
        loss = stream_loss(ModelView(refitted, dense.family, dense.shape, dense.frequencies), tuning)
    assert loss == pytest.approx(walk.tuning_loss, abs=1e-5)
    assert plain.kept == []
    for layer, kept in enumerate(walk.kept):
        names = dense.family.layer_names(layer)
        assert torch.equal(refitted.tensor(names.gate), dense.source.tensor(names.gate)[kept])
        assert refitted.shape(names.down_bias) == (dense.shape.hidden,)
    if criterion == "obs-exact":
        assert choices[0].error_after < 0.3 * slices[0].error_after
        assert all(len({neuron % 64 for neuron in kept.tolist()}) >= 56 for kept in walk.kept)

"""Curves, joint measurements and the search: against slow direct computations, and that it finds what was planted."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from compressor.checkpoint import Checkpoint, Overlay
from compressor.layers import ModelView, stream_loss
from compressor.masks.curves import RIDGE_SHARE, CurveInputs, grid_widths, measure_curves
from compressor.masks.divergence import Divergence
from compressor.masks.methods import MeasuredSizes
from compressor.masks.search import Search, describe_cost, near_uniform, sparser
from compressor.masks.trial import Trials
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Reconstruct
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import Batch, count_tokens, make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.masks.planted import own_rows, planted, rows
from tests.compressor.tiny import make_model

FFN = 128


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> ModelView:
    """Three layers; the neurons of the middle one hardly count."""
    folder = tmp_path_factory.mktemp("uneven") / "model"
    found, _ = planted(folder, layers=3)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(0.01)
        for index in (0, 2):
            torch.nn.init.normal_(model.model.layers[index].mlp.down_proj.weight, std=0.3)
    model.save_pretrained(folder)
    return ModelView(Checkpoint(folder), found.family, found.shape, found.frequencies)


@pytest.fixture(scope="module")
def trials(view: ModelView) -> Trials:
    text = own_rows(view, 20, seed=3)
    return Trials(view, make_batches(text[:16]), make_batches(text[16:]), Reconstruct(ridge=(0.01,)))


def scores() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.rand(FFN, generator=generator, dtype=torch.float64) for _ in range(3)]


def divergence_by_transformers(view: ModelView, other: Path, batches: list[Batch]) -> float:
    assert isinstance(view.source, Checkpoint)
    dense = AutoModelForCausalLM.from_pretrained(view.source.folder)
    changed = AutoModelForCausalLM.from_pretrained(other)
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            expected = dense(batch.ids).logits[batch.valid].log_softmax(-1).double()
            found = changed(batch.ids).logits[batch.valid].log_softmax(-1).double()
            total += float(functional.kl_div(found, expected, reduction="sum", log_target=True))
            count += len(expected)
    return total / count


def test_divergence_is_that_of_transformers(view: ModelView, tmp_path: Path) -> None:
    changed = make_model(tmp_path / "other", seed=5, num_hidden_layers=3)
    with torch.no_grad():
        changed.model.embed_tokens.weight.copy_(view.source.tensor(view.family.embedding))
        changed.model.norm.weight.copy_(view.source.tensor(view.family.final_norm))
    changed.save_pretrained(tmp_path / "other")
    other = ModelView(Checkpoint(tmp_path / "other"), view.family, view.shape, view.frequencies)
    batches = make_batches([*rows(3, 1), *rows(2, 2, length=13)])
    with torch.inference_mode():
        divergence = Divergence(view, batches)
        assert divergence.of_model(view) == pytest.approx(0, abs=1e-7)
        found = divergence.of_model(other)
    assert found == pytest.approx(divergence_by_transformers(view, tmp_path / "other", batches), rel=1e-4)


@pytest.mark.parametrize("refit", [False, True])
def test_a_point_of_a_curve_is_the_whole_model_cut_in_one_layer(
    view: ModelView, trials: Trials, tmp_path: Path, refit: bool
) -> None:
    """With the refit, against the sequential reconstruction of a model that keeps all other layers whole."""
    inputs = CurveInputs(view, scores(), trials.fitting, trials.tuning, refit)
    with torch.inference_mode():
        curves = measure_curves(inputs, [32, 96], StreamCheckpoint(tmp_path / "state"))
        assert curves.shape == (3, 2)
        for layer, column, width in ((0, 1, 96), (2, 0, 32)):
            kept = [torch.arange(FFN)] * 3
            kept[layer] = scores()[layer].argsort(descending=True)[:width].sort().values
            folder = tmp_path / f"{layer}-{width}"
            write_pruned(view.source, view.family, kept, folder)
            model = ModelView(Overlay(view.source, replaced_tensors(folder)), view.family, view.shape, view.frequencies)
            if refit:
                walk = Reconstruction(view, model, trials.fitting, trials.tuning, "own")
                walk.run((RIDGE_SHARE,), folder / "refit", StreamCheckpoint(folder / "state"))
                top = replaced_tensors(folder / "refit")
                model = ModelView(Overlay(model.source, top), view.family, view.shape, view.frequencies)
            expected = Divergence(view, trials.tuning).of_model(model)
            assert float(curves[layer, column]) == pytest.approx(expected, rel=0.02, abs=1e-6)


def test_an_interrupted_measurement_continues(view: ModelView, trials: Trials, tmp_path: Path) -> None:
    inputs = CurveInputs(view, scores(), trials.fitting, trials.tuning, refit=True)
    done = 0

    def stop() -> None:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt

    with torch.inference_mode():
        whole = measure_curves(inputs, [32, 64], StreamCheckpoint(tmp_path / "unused"))
        with pytest.raises(KeyboardInterrupt):
            measure_curves(inputs, [32, 64], StreamCheckpoint(tmp_path / "state", every_s=0.0), stop)
        assert StreamCheckpoint(tmp_path / "state").load()[0] == 2
        assert torch.equal(measure_curves(inputs, [32, 64], StreamCheckpoint(tmp_path / "state")), whole)


def search(trials: Trials, folder: Path) -> Search:
    return Search(trials, scores(), 32, seed=0, curves=folder / "curves.safetensors", folder=folder)


def test_the_search_starves_the_layer_that_hardly_counts(trials: Trials, tmp_path: Path) -> None:
    """It measures what it was told to, is never worse than its starts, and an interrupted one ends the same."""
    done = 0

    def stop() -> None:
        nonlocal done
        done += 1
        if done == 5:
            raise KeyboardInterrupt

    with torch.inference_mode():
        whole = search(trials, tmp_path / "whole")
        whole.measure_curves()
        found = whole.refine(192, 4)
        assert sum(found.widths) == 192
        assert found.widths[1] == 32
        assert found.divergence <= min(found.starts.values())
        assert found.starts["curves"] < found.starts["uniform"]
        assert found.measured <= 3 + 4
        measured = json.loads((tmp_path / "whole" / "measured.json").read_text("utf-8"))
        assert len(measured) == found.measured

        cut = search(trials, tmp_path / "cut")
        cut.measure_curves()
        with pytest.raises(KeyboardInterrupt):
            cut.refine(192, 4, stop)
        resumed = search(trials, tmp_path / "cut")
        resumed.measure_curves()
        assert resumed.refine(192, 4) == found
    assert not list((tmp_path / "cut").glob("trial-*"))


def test_retention_measures_finished_models_once(view: ModelView, trials: Trials, tmp_path: Path) -> None:
    class Uniform:
        asked = 0

        def candidate(self, kept_total: int) -> list[torch.Tensor]:
            self.asked += 1
            return [torch.arange(kept_total // 3)] * 3

    method = Uniform()
    with torch.inference_mode():
        measured = MeasuredSizes(method, trials, tmp_path)  # type: ignore[arg-type]
        loss = measured(96)
        assert MeasuredSizes(method, trials, tmp_path)(96) == loss  # type: ignore[arg-type]
        assert method.asked == 1
        assert loss > stream_loss(view, trials.tuning)
        refitted = trials.finished([torch.arange(32)] * 3, tmp_path / "again")
        assert stream_loss(refitted, trials.tuning) == loss
        plain = Trials(view, trials.fitting, trials.tuning, None)
        assert plain.loss([torch.arange(32)] * 3, tmp_path / "plain") > loss
    assert not (tmp_path / "size-96").exists()


def test_grids_and_shares() -> None:
    assert grid_widths(1024, 32) == [128, 256, 384, 512, 640, 768, 896]
    assert grid_widths(14336, 256) == [1792, 3584, 5376, 7168, 8960, 10752, 12544]
    assert grid_widths(64, 32) == [32]
    assert near_uniform(3, 160, 32) == [32, 64, 64]
    many = make_batches(rows(300, 1))
    assert count_tokens(sparser(many)) == pytest.approx(4096, rel=0.25)
    few = make_batches(rows(3, 1))
    assert torch.equal(sparser(few)[0].ids, few[0].ids)


def test_the_cost_is_stated_before_it_is_paid(trials: Trials) -> None:
    """Two widths of a curve would be 6 passes for three layers; the grid has three."""
    tokens = count_tokens(trials.tuning)
    passes = len(grid_widths(FFN, 32)) * 6
    line = describe_cost(trials, 32, 5)
    assert f"({passes} passes of {tokens} tokens through one layer)" in line
    assert "at most 8 trials" in line
    assert math.isfinite(float(line.split()[3]))

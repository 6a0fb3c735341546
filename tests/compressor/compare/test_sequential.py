"""Wanda-sp layer by layer: the neurons of a slow direct computation in transformers, whose layers are pruned as it goes."""

from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from compressor.compare.sequential import keep_sequentially
from compressor.criteria.score import score_layers
from compressor.masks.choose import choose
from compressor.rows import make_batches
from tests.compressor.criteria.measured import LAYERS, rows, scoring_inputs

WIDTH = 64


@torch.no_grad()
def slowly(folder: Path) -> list[list[int]]:
    """A whole forward pass for each layer and row; the neurons that go are set to zero before the next layer is scored."""
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    kept = []
    for layer in range(LAYERS):
        down = model.model.layers[layer].mlp.down_proj
        seen: list[torch.Tensor] = []
        hook = down.register_forward_pre_hook(lambda _, args, into=seen: into.append(args[0][0].double()))
        for row in rows():
            model(torch.tensor([row]))
        hook.remove()
        norms = torch.cat(seen).norm(dim=0)
        scores = [float(norm) * float(down.weight[:, j].double().abs().mean()) for j, norm in enumerate(norms)]
        order = sorted(range(len(scores)), key=lambda j: scores[j], reverse=True)
        down.weight[:, order[WIDTH:]] = 0
        kept.append(sorted(order[:WIDTH]))
    return kept


@torch.inference_mode()
def test_every_layer_is_scored_on_what_the_pruned_ones_before_it_give(tiny_folder: Path, tmp_path: Path) -> None:
    model = scoring_inputs(tiny_folder, tmp_path / "state").model
    found = [indices.tolist() for indices in keep_sequentially(model, make_batches(rows(), 2), WIDTH)]
    assert found == slowly(tiny_folder)


@torch.inference_mode()
def test_the_second_layer_is_not_scored_on_the_dense_stream(tiny_folder: Path, tmp_path: Path) -> None:
    """So narrow a first layer changes which neurons of the second matter."""
    inputs = scoring_inputs(tiny_folder, tmp_path / "state")
    found = keep_sequentially(inputs.model, make_batches(rows(), 2), 32)
    dense = choose(score_layers("wanda", inputs), 32 * LAYERS, "uniform", 32)
    assert torch.equal(found[0], dense[0])
    assert not torch.equal(found[1], dense[1])

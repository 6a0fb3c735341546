"""What has to go so that a model fits: the compressor's own counting, and no block more than needed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalogue import CatalogueModel, catalogue, find_in_catalogue
from models.memory import estimate_memory
from models.pruned import (
    NEURON_BLOCK,
    count_neurons,
    fewest_neurons,
    most_neurons_that_fit,
    neuron_step,
    pruned_memory,
)

MODELS = st.sampled_from(catalogue())
CONTEXTS = st.sampled_from([256, 2048, 4096])


def known(model_id: str) -> CatalogueModel:
    model = find_in_catalogue(model_id)
    assert model is not None
    return model


@given(model=MODELS, n_ctx=CONTEXTS, share=st.floats(0.0, 1.2))
def test_it_fits_and_one_step_more_does_not(model: CatalogueModel, n_ctx: int, share: float) -> None:
    free_bytes = int(estimate_memory(model, n_ctx).total_bytes * share)
    kept = most_neurons_that_fit(model, n_ctx, free_bytes)
    step = neuron_step(model)
    if kept is None:
        assert pruned_memory(model, fewest_neurons(model), n_ctx).total_bytes > free_bytes
        return
    assert fewest_neurons(model) <= kept < count_neurons(model)
    assert kept % step == 0
    assert pruned_memory(model, kept, n_ctx).total_bytes <= free_bytes
    if kept + step < count_neurons(model):
        assert pruned_memory(model, kept + step, n_ctx).total_bytes > free_bytes


@pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.id)
def test_a_uniform_width_weighs_what_a_model_of_that_width_does(model: CatalogueModel) -> None:
    narrow = replace(model, shapes=replace(model.shapes, ffn=model.shapes.ffn // 2))
    pruned = pruned_memory(model, count_neurons(narrow), 2048)
    assert pruned.weights_bytes == narrow.q4_0_bytes()
    assert pruned.repacked_bytes == narrow.q4_0_matrix_bytes()
    assert pruned.compute_bytes >= estimate_memory(narrow, 2048).compute_bytes
    assert pruned.kv_bytes == estimate_memory(narrow, 2048).kv_bytes


def test_one_width_for_all_layers_prunes_in_whole_layers_of_blocks() -> None:
    assert neuron_step(known("gemma-7b")) == 28 * NEURON_BLOCK
    assert neuron_step(known("medgemma-4b")) == 34 * NEURON_BLOCK
    assert neuron_step(known("llama-3-8b")) == neuron_step(known("qwen-3-4b")) == NEURON_BLOCK

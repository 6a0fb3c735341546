"""The plan's count of neurons that may stay is the compressor's."""

import pytest

from compressor.families import FAMILIES as READERS
from compressor.families.decoder import Decoder
from compressor.masks.budget import Cost, neuron_ceiling
from compressor.recipe.tables import Budget, Mask
from models.catalogue import FAMILIES, CatalogueModel, catalogue
from models.memory import estimate_memory
from models.pruned import NEURON_BLOCK, count_neurons, fewest_neurons, most_neurons_that_fit, pruned_memory

N_CTX = 2048


def cost(model: CatalogueModel) -> Cost:
    """With the weights as the only size: what runs is taken off the budget instead."""
    each = 3 * model.shapes.hidden * 18 / 32
    return Cost(
        layers=model.shapes.layers,
        ffn=model.shapes.ffn,
        fixed_parameters=0,
        parameters_per_neuron=3 * model.shapes.hidden,
        fixed_bytes=model.q4_0_bytes() - int(each * count_neurons(model)),
        bytes_per_neuron=each,
    )


@pytest.mark.parametrize("between", [0.02, 0.4, 0.97])
@pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.id)
def test_the_same_bytes_keep_the_same_neurons(model: CatalogueModel, between: float) -> None:
    dense = estimate_memory(model, N_CTX)
    smallest = pruned_memory(model, fewest_neurons(model), N_CTX).total_bytes
    free_bytes = int(smallest + between * (dense.total_bytes - smallest))
    method = "uniform" if model.traits.one_width else "global"
    budget = Budget(bytes=free_bytes - dense.running_bytes)
    assert most_neurons_that_fit(model, N_CTX, free_bytes) == neuron_ceiling(budget, cost(model), method, NEURON_BLOCK)


def test_blocks_are_as_wide_as_a_recipe_leaves_them() -> None:
    assert Mask.model_fields["multiple"].default == NEURON_BLOCK


def test_the_families_of_one_width_are_those_without_another_layout() -> None:
    """Their names are those of their classes: `gemma` is read by GemmaFamily."""
    families = {type(family).__name__.removesuffix("Family").lower(): family for family in READERS}
    for name, traits in FAMILIES.items():
        family = families[name]
        assert isinstance(family, Decoder)
        assert traits.one_width == (family.unequal_layout is None)

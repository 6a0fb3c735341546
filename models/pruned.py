"""A catalogue model of which part of the FFN neurons is gone: what it weighs, and how much has to go so that it fits.

The layouts are those that the compressor makes: widths are multiples of `NEURON_BLOCK`, none is 0, and where a family's
files hold one width all layers have the same. Cache and compute buffers are taken as the dense model's: an upper bound,
since one layer may keep its whole width.
"""

from dataclasses import replace

from models.catalogue import CatalogueModel
from models.gguf_types import TYPE_BY_NAME
from models.memory import MemoryEstimate, estimate_memory

NEURON_BLOCK = 256
"""FFN neurons that stay or go together: the compressor's default `mask.multiple`."""


def count_neurons(model: CatalogueModel) -> int:
    """FFN neurons of all layers of the dense model."""
    return model.shapes.layers * model.shapes.ffn


def neuron_step(model: CatalogueModel) -> int:
    """By how much the number of kept neurons can change: a block, or one in every layer where all have one width."""
    return NEURON_BLOCK * (model.shapes.layers if model.traits.one_width else 1)


def fewest_neurons(model: CatalogueModel) -> int:
    """A block in every layer."""
    return NEURON_BLOCK * model.shapes.layers


def pruned_memory(model: CatalogueModel, kept_neurons: int, n_ctx: int) -> MemoryEstimate:
    """Memory of the Q4_0 file that keeps `kept_neurons` of all layers' neurons; cache and buffers as dense."""
    dense = estimate_memory(model, n_ctx)
    gone = count_neurons(model) - kept_neurons
    gone_bytes = TYPE_BY_NAME["Q4_0"].n_bytes(3 * model.shapes.hidden * gone)
    return replace(
        dense,
        weights_bytes=dense.weights_bytes - gone_bytes,
        repacked_bytes=dense.repacked_bytes - gone_bytes,
    )


def most_neurons_that_fit(model: CatalogueModel, n_ctx: int, free_bytes: int) -> int | None:
    """The most neurons, fewer than all, with which the model runs in `free_bytes`; None where the fewest are too many."""
    step, fewest = neuron_step(model), fewest_neurons(model)
    bytes_of_step = pruned_memory(model, fewest + step, n_ctx).total_bytes
    bytes_of_step -= (smallest_bytes := pruned_memory(model, fewest, n_ctx).total_bytes)
    if smallest_bytes > free_bytes or fewest >= count_neurons(model):
        return None
    steps = min((free_bytes - smallest_bytes) // bytes_of_step, (count_neurons(model) - 1 - fewest) // step)
    return fewest + steps * step

"""A tiny model in which some neurons are planted to be useless, and what the methods need to work on it."""

from pathlib import Path

import torch

from compressor.checkpoint import Checkpoint
from compressor.families import find_family
from compressor.layers import ModelView, final_logits, load_head
from compressor.masks.divergence import final_states
from compressor.rows import make_batches
from tests.compressor.tiny import make_model

USELESS = 64
"""So many neurons of each layer have a zero column in down, spread over the layer."""


def planted(folder: Path, layers: int = 2) -> tuple[ModelView, list[torch.Tensor]]:
    """The model's view and, per layer, which neurons matter (int64, sorted)."""
    model = make_model(folder, num_hidden_layers=layers)
    useful = []
    with torch.no_grad():
        for index, layer in enumerate(model.model.layers):
            order = torch.randperm(128, generator=torch.Generator().manual_seed(index))
            down = layer.mlp.down_proj.weight
            # All others count alike: a useful neuron that hardly counts could not be told from a useless one.
            down.mul_(2.0 / down.norm(dim=0))
            down[:, order[:USELESS]] = 0.0
            useful.append(order[USELESS:].sort().values)
    model.save_pretrained(folder)
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    return (
        ModelView(checkpoint, family, family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config)),
        useful,
    )


def rows(count: int, seed: int, length: int = 40) -> list[list[int]]:
    """Random ids, BOS first."""
    generator = torch.Generator().manual_seed(seed)
    return [[0, *torch.randint(6, 512, (length,), generator=generator).tolist()] for _ in range(count)]


def own_rows(view: ModelView, count: int, seed: int, length: int = 32) -> list[list[int]]:
    """Rows that the model itself draws, so that what it computes lowers their loss."""
    generator = torch.Generator().manual_seed(seed)
    found = [[0] for _ in range(count)]
    norm, head = load_head(view)
    with torch.no_grad():
        for _ in range(length):
            states = torch.cat(final_states(view, make_batches(found, count)))
            odds = (final_logits(view, states[:, -1], norm, head) * 2).softmax(-1)
            drawn = torch.multinomial(odds, 1, generator=generator)[:, 0].tolist()
            found = [[*row, token] for row, token in zip(found, drawn, strict=True)]
    return found

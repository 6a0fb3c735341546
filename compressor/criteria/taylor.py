"""Criterion `taylor`: LLM-Pruner's first-order estimate (arXiv 2305.11627, `param_first` summed over the coupled group).

I_j = Σ_k |W_g[j,k]·G_g[j,k]| + Σ_k |W_u[j,k]·G_u[j,k]| + Σ_i |W_d[i,j]·G_d[i,j]|, G the gradient of the mean next-token loss
over the whole text. It is the one criterion that needs the whole model and a backward pass: rows go through one by one and
their gradients add up, so that only one row's activations are held; the sums so far are what an interruption needs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from compressor.assemble import assemble, require_memory
from compressor.families.contract import LayerNames
from compressor.layers import ModelView
from compressor.walk import Advance, StreamCheckpoint


def taylor(
    model: ModelView,
    config: Mapping[str, Any],
    rows: Sequence[Sequence[int]],
    advance: Advance = lambda: None,
    state: StreamCheckpoint | None = None,
) -> list[torch.Tensor]:
    """Scores per layer, float64 (ffn,); `advance` is called once a row. An interrupted call continues from `state`.

    Raises MemoryShortError with the numbers, StorageError.
    """
    require_memory(
        taylor_bytes(model, max(len(row) for row in rows)),
        "criterion taylor (all weights, FFN gradients and one row's activations in float32)",
        "choose another criterion or a machine with more memory",
        model.device,
    )
    names = [model.family.layer_names(layer) for layer in range(model.shape.layers)]
    # The pipeline runs in inference mode, whose tensors can take no gradient.
    with torch.inference_mode(mode=False), torch.enable_grad():
        whole = assemble(model.source, model.family, model.shape, config, device=model.device)
        first, saved = (0, {}) if state is None else state.load()
        scored = {name: whole.get_parameter(name) for layer in names for name in (layer.gate, layer.up, layer.down)}
        for name, parameter in scored.items():
            parameter.requires_grad_(True)
            parameter.grad = saved[name].to(model.device) if first else None
        tokens = sum(len(row) - 1 for row in rows)
        for index, row in enumerate(rows):
            if index >= first:
                _add_gradients(whole, torch.tensor(row, device=model.device), tokens)
                if state is not None:
                    state.save_if_due(index + 1, lambda: _gradients(scored))
            advance()
        return [_importance(whole, layer) for layer in names]


def taylor_bytes(model: ModelView, longest_row: int) -> int:
    """Memory for float32 weights, FFN gradients, and the activations of one row of so many tokens."""
    shape, source = model.shape, model.source
    parameters = sum(
        math.prod(source.shape(name)) for name in source.names() if not (shape.tied and name == model.family.head)
    )
    gradients = 3 * shape.layers * shape.ffn * shape.hidden
    # About 16 tensors of the hidden and 6 of the FFN width are kept per layer, and 4 of the vocabulary at the end.
    activations = longest_row * (shape.layers * (16 * shape.hidden + 6 * shape.ffn) + 4 * shape.vocab)
    return 4 * (parameters + gradients + activations)


def _add_gradients(whole: torch.nn.Module, ids: torch.Tensor, scored: int) -> None:
    """Add one row's share of the mean loss over `scored` tokens; a row of one token has none."""
    if ids.numel() > 1:
        logits = whole(input_ids=ids[None]).logits[0, :-1].float()
        torch.autograd.backward(functional.cross_entropy(logits, ids[1:], reduction="sum") / scored)


def _gradients(scored: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.cpu() for name, parameter in scored.items() if parameter.grad is not None}


def _importance(whole: torch.nn.Module, names: LayerNames) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for name, axis in ((names.gate, 1), (names.up, 1), (names.down, 0)):
        parameter = whole.get_parameter(name)
        assert parameter.grad is not None
        total = total + (parameter.detach() * parameter.grad).abs().sum(axis, dtype=torch.float64).cpu()
    return total

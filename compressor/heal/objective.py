"""The loss of healing: next-token cross-entropy, KL to the dense model, or both, each token with its weight."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from compressor.heal.rows import HealRow
from compressor.recipe.tables import Heal


class Objective:
    """Sums of weighted token losses, in nats. `teacher` is the dense model where the recipe distils, else None."""

    def __init__(self, recipe: Heal, teacher: Any | None, dtype: torch.dtype) -> None:
        self._kl_share = {"cross-entropy": 0.0, "distill": 1.0, "both": recipe.distill_share}[recipe.objective]
        self._teacher, self._dtype = teacher, dtype

    def training_loss(self, model: Any, rows: Sequence[HealRow]) -> torch.Tensor:
        """Σ weight · loss over the tokens of `rows`, with a graph."""
        device = next(model.parameters()).device
        ids, weights = _pad(rows, device)
        logits = self._logits(model, ids)
        loss = torch.zeros((), device=device)
        if self._kl_share < 1:
            loss = loss + (1 - self._kl_share) * _cross_entropy(logits, ids, weights)
        if self._kl_share > 0:
            with torch.no_grad():
                wanted = self._logits(self._teacher, ids)
            loss = loss + self._kl_share * _divergence(wanted, logits, weights)
        return loss

    @torch.no_grad()
    def tuning_loss(self, model: Any, rows: Sequence[HealRow], rows_at_once: int) -> float:
        """Mean weighted cross-entropy in nats, whatever is trained on: the model is judged on text, not on the teacher."""
        device = next(model.parameters()).device
        ordered = by_length(rows)
        total = 0.0
        for start in range(0, len(ordered), rows_at_once):
            ids, weights = _pad(ordered[start : start + rows_at_once], device)
            total += float(_cross_entropy(self._logits(model, ids), ids, weights))
        return total / total_weight(rows)

    def _logits(self, model: Any, ids: torch.Tensor) -> torch.Tensor:
        """Float32 logits of every token but the first, (rows, tokens - 1, vocab). Padding on the right is never seen."""
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return logits[:, :-1].float()


def by_length(rows: Sequence[HealRow]) -> list[HealRow]:
    """Longest first, so that rows of one forward pass need little padding."""
    return sorted(rows, key=lambda row: len(row.ids), reverse=True)


def total_weight(rows: Sequence[HealRow]) -> float:
    """Σ weight over the tokens of `rows`."""
    return sum(sum(row.weights) for row in rows)


def _pad(rows: Sequence[HealRow], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids, int64 (rows, tokens), and the weights of the tokens after the first, float32 (rows, tokens - 1)."""
    length = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), length), dtype=torch.int64)
    weights = torch.zeros((len(rows), length))
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        weights[index, : len(row.ids)] = torch.tensor(row.weights)
    return ids.to(device), weights[:, 1:].to(device)


def _cross_entropy(logits: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (losses * weights.flatten()).sum()


def _divergence(wanted: torch.Tensor, logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Σ weight · KL(wanted ‖ logits) over the vocabulary, temperature 1."""
    dense, healed = wanted.log_softmax(-1), logits.log_softmax(-1)
    return (functional.kl_div(healed, dense, reduction="none", log_target=True).sum(-1) * weights).sum()

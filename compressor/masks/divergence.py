"""How far a changed model's predictions are from the dense model's: KL of the final logits on the same rows."""

from collections.abc import Iterator, Sequence

import torch

from compressor.layers import (
    ModelView,
    embed,
    final_logits,
    head_parts,
    load_final_norm,
    load_layer,
    pass_layer,
    stored_head,
)
from compressor.rows import Batch


def final_states(model: ModelView, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """Hidden states after the last layer, one layer of weights in memory; (rows, tokens, hidden) per batch."""
    hidden = embed(model, batches)
    for layer in range(model.shape.layers):
        weights = load_layer(model, layer)
        for index, batch in enumerate(batches):
            hidden[index] = pass_layer(model, weights, hidden[index], batch)
    return hidden


class Divergence:
    """KL(dense ‖ other) in nats per text position, the other having the dense model's final norm and output matrix.

    Holds the dense model's last states and the stored output matrix, of which a part at a time becomes float32.
    """

    def __init__(self, dense: ModelView, batches: Sequence[Batch]) -> None:
        self._model, self._batches = dense, batches
        self._norm, self._head = load_final_norm(dense), stored_head(dense)
        self._states = self._text(final_states(dense, batches))
        self._total = self._states.new_full((len(self._states),), -torch.inf, dtype=torch.float64)
        for part, head in self._parts():
            self._total[part] = torch.logaddexp(self._total[part], self._logits(self._states[part], head).logsumexp(1))

    def of(self, hidden: Sequence[torch.Tensor]) -> float:
        """The mean over all text positions, of states after the last layer as `final_states` gives them.

        KL = Σ p (z − z') − ln Σ exp z + ln Σ exp z', with z and z' the two logits and p = softmax z.
        """
        other = self._text(hidden)
        total, gap = torch.full_like(self._total, -torch.inf), torch.zeros_like(self._total)
        for part, head in self._parts():
            expected, found = self._logits(self._states[part], head), self._logits(other[part], head)
            gap[part] += ((expected - self._total[part, None]).exp() * (expected - found)).sum(1)
            total[part] = torch.logaddexp(total[part], found.logsumexp(1))
        return float((gap - self._total + total).mean())

    def of_model(self, model: ModelView) -> float:
        """The mean over all text positions of another model's states."""
        return self.of(final_states(model, self._batches))

    def _text(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([states[batch.valid] for states, batch in zip(hidden, self._batches, strict=True)])

    def _parts(self) -> Iterator[tuple[slice, torch.Tensor]]:
        for part, _, head in head_parts(self._model, self._head, len(self._states)):
            yield part, head

    def _logits(self, states: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        return final_logits(self._model, states, self._norm, head).double()

"""How far a changed model's predictions are from the dense model's: KL of the final logits on the same rows."""

from collections.abc import Sequence

import torch

from compressor.layers import ModelView, embed, final_logits, load_head, load_layer, through_layer
from compressor.rows import Batch

POSITIONS = 512
"""Positions whose logits are held at once."""


def final_states(model: ModelView, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """Hidden states after the last layer, one layer of weights in memory; (rows, tokens, hidden) per batch."""
    hidden = embed(model, batches)
    for layer in range(model.shape.layers):
        weights = load_layer(model, layer)
        for index, batch in enumerate(batches):
            hidden[index] = through_layer(model, weights, hidden[index], batch)
    return hidden


class Divergence:
    """KL(dense ‖ other) in nats per text position, the other having the dense model's final norm and output matrix.

    Holds these and the dense model's last states.
    """

    def __init__(self, dense: ModelView, batches: Sequence[Batch]) -> None:
        self._model, self._batches = dense, batches
        self._norm, self._head = load_head(dense)
        self._states = self._text(final_states(dense, batches))

    def of(self, hidden: Sequence[torch.Tensor]) -> float:
        """The mean over all text positions, of states after the last layer as `final_states` gives them."""
        total = 0.0
        other = self._text(hidden)
        for start in range(0, len(other), POSITIONS):
            part = slice(start, start + POSITIONS)
            expected, found = self._log_probabilities(self._states[part]), self._log_probabilities(other[part])
            total += float((expected.exp() * (expected - found)).sum(dtype=torch.float64))
        return total / len(self._states)

    def of_model(self, model: ModelView) -> float:
        """The mean over all text positions of another model's states."""
        return self.of(final_states(model, self._batches))

    def _text(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([states[batch.valid] for states, batch in zip(hidden, self._batches, strict=True)])

    def _log_probabilities(self, states: torch.Tensor) -> torch.Tensor:
        return final_logits(self._model, states, self._norm, self._head).log_softmax(-1)

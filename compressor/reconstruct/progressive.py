"""Any criterion in rounds: a part of a layer's neurons goes, down is refitted, what is left is scored anew, and so on.

Measured anew once a layer, on what the pruned and reconstructed layers before it give: the criterion's sums, and the normal
equations of all its neurons. A neuron's h does not depend on down, so both serve every round. Taken anew in every round: the
scores, from the sums of the neurons that are left and from down as the last refit left it. As many neurons go in each round.
"""

from dataclasses import dataclass, replace

import torch

from compressor.calibrate import NeuronSums, Statistics
from compressor.criteria.score import ScoringInputs, score_layers
from compressor.layers import LayerWeights, ModelView
from compressor.reconstruct.normal import Normal
from compressor.reconstruct.rounds import DAMPING, Rounds
from compressor.reconstruct.solve import ridge


@dataclass(frozen=True)
class Measured:
    """A whole layer on the inputs that the pruned layers before it give."""

    weights: LayerWeights
    sums: NeuronSums
    tokens: int
    """Text positions behind the sums."""
    normal: Normal
    """Of all neurons and what down should give, without a bias."""


@dataclass(frozen=True)
class _Remaining:
    """The FFN of a layer under round: the only layer of a model that a criterion can score."""

    named: dict[str, str]
    """Tensor name to `gate`, `up` or `down`."""
    weights: LayerWeights
    kept: torch.Tensor
    down: torch.Tensor

    def names(self) -> list[str]:
        return sorted(self.named)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensor(name).shape)

    def tensor(self, name: str) -> torch.Tensor:
        part = self.named[name]
        whole: torch.Tensor = self.down if part == "down" else getattr(self.weights, part)[self.kept]
        return whole.cpu()


def keep_progressively(layer: Measured, model: ModelView, width: int, rounds: Rounds) -> torch.Tensor:
    """The `width` neurons that stay, int64, sorted; of equal scores the first stays."""
    dense, removals = layer.weights, layer.weights.gate.shape[0] - width
    kept = torch.arange(dense.gate.shape[0], device=dense.gate.device)
    down = dense.down
    for turn in range(1, rounds.count + 1):
        left = width + removals - removals * turn // rounds.count
        scores = _score(layer, model, kept, down, rounds.criterion)
        stay = scores.argsort(descending=True, stable=True)[:left].sort().values
        kept = kept[stay.to(kept.device)]
        if turn < rounds.count:
            down = _refit(layer, kept)
    return kept


def _score(layer: Measured, model: ModelView, kept: torch.Tensor, down: torch.Tensor, criterion: str) -> torch.Tensor:
    """The criterion's scores of the neurons that are left, float64 (kept,) on the CPU."""
    names = model.family.layer_names(0)
    source = _Remaining({names.gate: "gate", names.up: "up", names.down: "down"}, layer.weights, kept, down)
    sums = NeuronSums(**{name: values[kept.cpu()] for name, values in vars(layer.sums).items()})
    inputs = ScoringInputs(replace(model, source=source), Statistics((sums,), layer.tokens), rows=[], config={}, seed=0)
    return score_layers(criterion, inputs)[0]


def _refit(layer: Measured, kept: torch.Tensor) -> torch.Tensor:
    """Down over the neurons that are left, float32 (hidden, kept), drawn towards the plain slice."""
    start, normal = layer.weights.down[:, kept].double(), layer.normal
    part = Normal(normal.gram[kept[:, None], kept], normal.cross[:, kept], biased=False)
    return (start + ridge(part, part.cross - start @ part.gram, DAMPING)).float()

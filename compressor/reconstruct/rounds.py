"""Optimal brain surgeon in rounds: which neurons of a layer go, judged on the inputs that the pruned layers before it give.

Removing column j of W from ½‖Y − W h‖², the other columns adjusting, costs ½Σ_i W_ij²/[H⁻¹]_jj, after which
W ← W − W_j [H⁻¹]_jj⁻¹ [H⁻¹]_j (Hassibi and Stork 1993, for one weight; with columns as in ZipLM and OSSCAR). Many columns go in
a round; the inverse is kept up by its Schur complement. Two scores:

`obs`: Týr's (arXiv 2503.09657), Σ_i W_ij·(½W_ij/[H⁻¹]_jj + G_ij), G = W₀H of the weight as it came.
`obs-exact`: that cost alone, which leaves a third less tuning loss on the reference model.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from compressor.reconstruct.solve import solve_symmetric

DAMPING = 0.01
"""λ of H + λI in the inverse, a share of H's mean diagonal, as in Týr's code."""


@dataclass(frozen=True)
class Rounds:
    """Neurons chosen during the reconstruction: by which score, and in how many rounds."""

    criterion: Literal["obs", "obs-exact"]
    count: int = 16


def rounds_for(criterion: str, count: int) -> Rounds | None:
    """The rounds of a criterion that chooses during the reconstruction, None for one that scores beforehand."""
    if criterion == "obs":
        return Rounds("obs", count)
    return Rounds("obs-exact", count) if criterion == "obs-exact" else None


def damp(gram: torch.Tensor) -> torch.Tensor:
    """H + λI, float64 (ffn, ffn)."""
    damped = gram.clone()
    damped.diagonal().add_(DAMPING * gram.diagonal().mean())
    return damped


def keep_by_rounds(damped: torch.Tensor, weight: torch.Tensor, width: int, rounds: Rounds) -> torch.Tensor:
    """The `width` columns that stay, int64, sorted; damped = H + λI, float64 (ffn, ffn), weight float64 (hidden, ffn).

    With as many rounds as columns to remove, `obs-exact` is the exact greedy order.
    """
    ffn = damped.shape[0]
    gradient = weight @ damped if rounds.criterion == "obs" else torch.zeros_like(weight)
    kept = torch.arange(ffn, device=damped.device)
    inverse = solve_symmetric(damped, torch.eye(ffn, dtype=damped.dtype, device=damped.device))
    removals = ffn - width
    for turn in range(rounds.count):
        count = removals * (turn + 1) // rounds.count - removals * turn // rounds.count
        score = (weight * (weight / (2 * inverse.diagonal()) + gradient[:, kept])).sum(0)
        order = score.argsort(stable=True)
        gone, stay = order[:count], order[count:].sort().values
        ties = solve_symmetric(inverse[gone][:, gone], inverse[gone][:, stay])
        weight = weight[:, stay] - weight[:, gone] @ ties
        inverse = inverse[stay][:, stay] - inverse[stay][:, gone] @ ties
        kept = kept[stay]
    return kept

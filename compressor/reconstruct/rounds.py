"""Optimal brain surgeon in rounds: which neurons of a layer go, judged on the inputs that the pruned layers before it give.

Removing column j of W from ½‖Y − W h‖², the other columns adjusting, costs ½Σ_i W_ij²/[H⁻¹]_jj, after which
W ← W − W_j [H⁻¹]_jj⁻¹ [H⁻¹]_j (Hassibi and Stork 1993, for one weight; with columns as in ZipLM and OSSCAR). Many columns go in
a round; the inverse is kept up by its Schur complement. Two scores:

`obs`: Týr's (arXiv 2503.09657), Σ_i W_ij·(½W_ij/[H⁻¹]_jj + G_ij), G = W₀H of the weight as it came.
`obs-exact`: that cost alone, which leaves a third less tuning loss on the reference model.
"""

from dataclasses import dataclass

import torch

from compressor.errors import CheckpointError
from compressor.reconstruct.solve import factor_in_place, solve_symmetric

DAMPING = 0.01
"""λ of H + λI in the inverse, a share of H's mean diagonal, as in Týr's code."""


OBS = frozenset({"obs", "obs-exact"})
"""Criteria that choose during the reconstruction even in one round."""
OBS_ROUNDS = 16
"""Rounds of these where the recipe names none, as in Týr."""


@dataclass(frozen=True)
class Rounds:
    """Neurons chosen during the reconstruction: by which criterion, and in how many rounds."""

    criterion: str
    count: int = OBS_ROUNDS


def rounds_for(criterion: str, count: int | None) -> Rounds | None:
    """The rounds of a recipe, None where the neurons are chosen beforehand: one round of a criterion that can do that."""
    if criterion in OBS:
        return Rounds(criterion, count or OBS_ROUNDS)
    return None if count in (None, 1) else Rounds(criterion, count)


def damp(gram: torch.Tensor) -> torch.Tensor:
    """H + λI in the place of H, float64 (ffn, ffn). Where no neuron gives any signal λ is 1, and weights alone decide."""
    mean = gram.diagonal().mean()
    gram.diagonal().add_(DAMPING * mean if bool(mean > 0) else 1.0)
    return gram


def invert(damped: torch.Tensor) -> torch.Tensor:
    """(H + λI)⁻¹ in the place of H + λI, float64 (ffn, ffn), stored by rows. Raises CheckpointError where H is not finite."""
    columns = damped.mT
    if not factor_in_place(columns):
        # λ is far above what rounding can take away from a second moment.
        raise CheckpointError("the activations of a layer are NaN or infinite on the calibration text; fetch it again")
    torch.cholesky_inverse(columns, out=columns)
    return damped


def keep_by_rounds(damped: torch.Tensor, weight: torch.Tensor, width: int, rounds: Rounds) -> torch.Tensor:
    """The `width` columns that stay, int64, sorted; damped = H + λI, float64 (ffn, ffn), weight float64 (hidden, ffn).

    With as many rounds as columns to remove, `obs-exact` is the exact greedy order. `damped` is used up: the inverse
    takes its place, and a round holds what stays of it once more.
    """
    ffn = damped.shape[0]
    gradient = weight @ damped if rounds.criterion == "obs" else None
    kept = torch.arange(ffn, device=damped.device)
    inverse = invert(damped)
    removals = ffn - width
    for turn in range(rounds.count):
        count = removals * (turn + 1) // rounds.count - removals * turn // rounds.count
        score = torch.linalg.vector_norm(weight, dim=0).square() / (2 * inverse.diagonal())
        if gradient is not None:
            score += (weight * gradient).sum(0)
        order = score.argsort(stable=True)
        gone, stay = order[:count], order[count:].sort().values
        ties = solve_symmetric(inverse[gone][:, gone], inverse[gone][:, stay])
        weight = weight[:, stay].addmm_(weight[:, gone], ties, alpha=-1)
        rows = inverse[stay]
        across = rows[:, gone]
        # What stays moves to the front of the same memory.
        inverse = damped.view(-1)[: stay.numel() ** 2].view(stay.numel(), -1)
        torch.index_select(rows, 1, stay, out=inverse)
        del rows
        inverse.addmm_(across, ties, alpha=-1)
        kept = kept[stay]
        gradient = None if gradient is None else gradient[:, stay]
    return kept

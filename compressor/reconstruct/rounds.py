"""Optimal brain surgeon in rounds: which neurons of a layer go, judged on the inputs that the pruned layers before it give.

Removing column j of W from ½‖Y − W h‖², the other columns adjusting, costs ½Σ_i W_ij²/[H⁻¹]_jj, after which
W ← W − W_j [H⁻¹]_jj⁻¹ [H⁻¹]_j (Hassibi and Stork 1993). Týr (arXiv 2503.09657) adds the first-order term W_ij·(WH)_ij and
removes many columns a round; the inverse is kept up by its Schur complement.
"""

import torch

from compressor.reconstruct.solve import solve_symmetric

DAMPING = 0.01
"""λ of H + λI in the inverse, a share of H's mean diagonal, as in Týr's code."""


def keep_by_rounds(
    gram: torch.Tensor, weight: torch.Tensor, width: int, rounds: int, *, first_order: bool, damping: float = DAMPING
) -> torch.Tensor:
    """The `width` columns that stay, int64, sorted; gram float64 (ffn, ffn), weight float64 (hidden, ffn).

    With as many rounds as columns to remove and without the first-order term this is the exact greedy order.
    """
    ffn = gram.shape[0]
    damped = gram.clone()
    damped.diagonal().add_(damping * gram.diagonal().mean())
    kept = torch.arange(ffn, device=gram.device)
    inverse = solve_symmetric(damped, torch.eye(ffn, dtype=gram.dtype, device=gram.device))
    removals = ffn - width
    for turn in range(rounds):
        count = removals * (turn + 1) // rounds - removals * turn // rounds
        if not count:
            continue
        score = weight.square().sum(0) / (2 * inverse.diagonal())
        if first_order:
            score = score + (weight * (weight @ damped)).sum(0)
        order = score.argsort(stable=True)
        gone, stay = order[:count], order[count:].sort().values
        ties = solve_symmetric(inverse[gone][:, gone], inverse[gone][:, stay])
        weight = weight[:, stay] - weight[:, gone] @ ties
        inverse = inverse[stay][:, stay] - inverse[stay][:, gone] @ ties
        damped, kept = damped[stay][:, stay], kept[stay]
    return kept

"""Masks that can be learned: a logit per neuron over thresholds per layer, straight-through sigmoids, exact projection.

A neuron's evidence is its percentile rank in its layer under each score: two for the paper's saliency (strength m_j and
steepness a_j), one for any other criterion. Neuron j of layer l has

    z_j = w_j + max_k (rank_kj − t_kl)

with the learned logit w_j, started at 0, and the layer's learned thresholds t_kl, started at 0: so it starts from its
scores relative to the thresholds, and goes (z_j < 0) only where it is low in all of them. The forward pass uses the hard
mask 1[z_j ≥ 0], the backward pass the slope of σ(z_j / T).
"""

from collections.abc import Sequence

import torch

from compressor.masks.choose import keep_highest, threshold_widths


class Gates:
    """The learned parameters of all layers' masks, float32."""

    def __init__(self, evidence: torch.Tensor) -> None:
        """`evidence`: ranks in [0, 1], (layers, scores, ffn)."""
        layers, kinds, ffn = evidence.shape
        self._evidence = evidence.detach().float().clone()
        self.logits = torch.zeros((layers, ffn), device=evidence.device, requires_grad=True)
        self.thresholds = torch.zeros((layers, kinds), device=evidence.device, requires_grad=True)

    def relative(self) -> torch.Tensor:
        """z, (layers, ffn)."""
        return self.logits + (self._evidence - self.thresholds[:, :, None]).amax(1)

    def soft(self, temperature: float) -> torch.Tensor:
        """σ(z / T), (layers, ffn)."""
        return torch.sigmoid(self.relative() / temperature)

    def masks(self, temperature: float) -> torch.Tensor:
        """1[z ≥ 0] with the gradient of `soft`, (layers, ffn)."""
        soft = self.soft(temperature)
        return (soft >= 0.5).to(soft.dtype) + (soft - soft.detach())

    def project(self, kept_total: int, multiple: int, *, one_width: bool) -> list[torch.Tensor]:
        """The highest z within the exact budget: kept indices per layer, int64, sorted."""
        values = list(self.relative().detach().cpu().double())
        same = [kept_total // len(values)] * len(values)
        widths = same if one_width else threshold_widths(values, kept_total, multiple)
        return keep_highest(values, widths)


def as_masks(kept: Sequence[torch.Tensor], ffn: int) -> torch.Tensor:
    """Kept indices as 0 and 1, float32 (layers, ffn)."""
    masks = torch.zeros((len(kept), ffn))
    for mask, indices in zip(masks, kept, strict=True):
        mask[indices] = 1.0
    return masks

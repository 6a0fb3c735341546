"""Figures that the two papers published, drawn beside ours and always labelled as theirs.

Source: "Enabling On-Device Medical AI Assistants via Input-Driven Saliency Adaptation", arXiv 2506.11105 ("the paper").
Models, tokenizers and texts are not ours: only the shape of a curve can be compared, never a height.
"""

from dataclasses import dataclass

SOURCE = "published, arXiv 2506.11105"


@dataclass(frozen=True)
class PublishedCurve:
    """Perplexities that the paper states for one model healed on one text, at pruning rates in percent."""

    label: str
    points: tuple[tuple[float, float], ...]


SIZE_POINT = ("Llama 3 8B, pruned", 4.30e9, 10.9)
"""Figure 1: label, parameters, perplexity."""

CURVES = (
    PublishedCurve("Gemma 7B, MedQuAD", ((0, 2.89), (50, 4.65))),
    PublishedCurve("Llama 3 8B, MedQuAD", ((0, 2.89), (67, 5.84))),
    PublishedCurve("Gemma 7B, Meadow", ((0, 4.20), (50, 6.43))),
    PublishedCurve("Gemma 7B, MedQuAD → Meadow", ((0, 3.64), (50, 6.74))),
)
"""Figures 3 and 4: healed on the text that is measured, or on the first and measured on the second."""

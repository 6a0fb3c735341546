"""What quantization costs: each file's loss above its own F16, beside dense's own rise, and the tensors that carry it.

Rise: ln perplexity (`hf_stride`) of the quantized file − ln perplexity of the F16 file it was made from, in nats per token.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

from compressor.report.sections import ABSENT, Section

MOST_OF_DENSE = 1.5
"""The rise of our Q4_0 file may be so many times that of dense."""
NAMED_ABOVE = 0.05
"""Share by which perplexity may rise before the tensors that carry the rise are named."""
RISE_COLUMNS = ("file", "rise, nats/token", "perplexity", "times dense's rise")
VERDICT_COLUMNS = ("Q4_0", "found", "wanted", "verdict")
TENSOR_COLUMNS = ("kept at F16", "nats/token won back", "share of the rise")
CSV_COLUMNS = ("text", "file", "rise_nats_per_token", "perplexity_ratio", "ratio_to_dense_rise")
TENSOR_CSV_COLUMNS = ("kept_at_f16", "nats_per_token_won_back", "share_of_rise")
_DENSE, _PLAIN = "dense Q4_0", "Q4_0, no matrix"


@dataclass(frozen=True)
class Rise:
    """One quantized file on one text."""

    text: str
    file: str
    nats: float
    to_dense: float | None
    """Times the rise of dense's Q4_0; None where that was not made or does not rise, and for dense itself."""


def rises(rows: Sequence[Mapping[str, Any]], text: str) -> list[Rise]:
    """Every quantized file on `text`, in the order of the report."""
    found = dict(_nats(rows, text))
    dense = found.get(_DENSE, 0.0)
    return [
        Rise(text, label, nats, nats / dense if dense > 0 and label != _DENSE else None)
        for label, nats in found.items()
    ]


def _nats(rows: Sequence[Mapping[str, Any]], text: str) -> Iterator[tuple[str, float]]:
    losses = {str(row["label"]): log(row["texts"][text]["hf_stride"]) for row in rows}
    own = next((label for label in losses if label.endswith("F16") and label != "dense F16"), None)
    for label, loss in losses.items():
        source = "dense F16" if label == _DENSE else own
        if source in losses and not label.endswith("F16"):
            yield label, loss - losses[source]


def quantization_sections(
    rows: Sequence[Mapping[str, Any]], rise_nats: Mapping[str, float] | None, texts: Sequence[str]
) -> list[Section]:
    """Rises and verdicts for each text, then what single tensors cost where `rise_nats` was measured."""
    sections: list[Section] = []
    for text in texts:
        found = rises(rows, text)
        sections.append((f"Quantization, {text}", RISE_COLUMNS, [_rise_cells(rise) for rise in found]))
        sections.append((f"Verdicts on Q4_0, {text}", VERDICT_COLUMNS, verdict_cells(found, rise_nats)))
    if rise_nats:
        cells: list[tuple[str, ...]] = [
            (name, f"{nats:+.5f}", _share(share)) for name, nats, share in tensor_costs(rise_nats)
        ]
        sections.append(("What Q4_0 costs by tensor, tuning text", TENSOR_COLUMNS, cells))
    return [section for section in sections if section[2]]


def verdict_cells(found: Sequence[Rise], rise_nats: Mapping[str, float] | None) -> list[tuple[str, ...]]:
    """The claims on the shipped Q4_0 file, in the order of VERDICT_COLUMNS; what was not measured is left out."""
    nats = {rise.file: rise.nats for rise in found}
    ours = next((rise for rise in found if rise.file.endswith("Q4_0") and rise.file != _DENSE), None)
    if ours is None:
        return []
    cells: list[tuple[str, ...]] = []
    if _DENSE in nats:
        # Where dense does not rise, ours may not either.
        met = ours.nats <= MOST_OF_DENSE * max(nats[_DENSE], 0.0)
        against = ABSENT if ours.to_dense is None else f"{ours.to_dense:.2f} times"
        wanted = f"at most {MOST_OF_DENSE} times"
        cells.append((f"rise of {ours.file} against dense's", against, wanted, _verdict(met)))
    if _PLAIN in nats:
        against = f"{ours.nats:+.5f} and {nats[_PLAIN]:+.5f}"
        cells.append(("rise with and without matrix", against, "no worse with it", _verdict(ours.nats <= nats[_PLAIN])))
    above = exp(ours.nats) - 1 > NAMED_ABOVE
    named = _named(rise_nats) if above else "none to name"
    cells.append(("perplexity above F16", f"{exp(ours.nats) - 1:+.1%}", f"above {NAMED_ABOVE:.0%} named", named))
    return cells


def tensor_costs(rise_nats: Mapping[str, float]) -> list[tuple[str, float, float | None]]:
    """Name, nats won back by keeping it at F16, and share of the whole rise (None where there is none); kinds first, costly
    first."""
    whole = rise_nats["all"]
    names = sorted(rise_nats.keys() - {"all"}, key=lambda name: (name.startswith("blk."), -rise_nats[name], name))
    return [(name, rise_nats[name], rise_nats[name] / whole if whole > 0 else None) for name in names]


def _named(rise_nats: Mapping[str, float] | None) -> str:
    """The costliest kind and, of its layers, those that carry more than an even share of what all layers win back."""
    if not rise_nats:
        return "not measured: add tensors to quantize.compare"
    costs = tensor_costs(rise_nats)
    layers = [(name, nats) for name, nats, _ in costs if name.startswith("blk.")]
    even = sum(nats for _, nats in layers) / max(1, len(layers))
    return ", ".join([costs[0][0], *(name for name, nats in layers if nats > max(even, 0.0))])


def _rise_cells(rise: Rise) -> tuple[str, ...]:
    to_dense = ABSENT if rise.to_dense is None else f"{rise.to_dense:.2f}"
    return rise.file, f"{rise.nats:+.5f}", f"{exp(rise.nats) - 1:+.2%}", to_dense


def _share(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.0%}"


def _verdict(met: bool) -> str:
    return "met" if met else "not met"

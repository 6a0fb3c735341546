"""What the report concludes from the rises of quantized files, on numbers that can be checked by hand."""

from collections.abc import Mapping
from math import exp
from typing import Any

import pytest

from compressor.report.quantized import quantization_sections, rises, verdict_cells

RISE_NATS = {
    "all": 0.08, "ffn_down": 0.05, "ffn_up": 0.02, "attn_q": -0.001,
    "blk.0.ffn_down": 0.03, "blk.1.ffn_down": 0.002, "blk.2.ffn_down": 0.018,
}  # fmt: skip


def rows(losses: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"label": label, "texts": {"t": {"hf_stride": exp(loss)}}} for label, loss in losses.items()]


def measured(pruned: float, plain: float, dense: float = 0.01) -> list[dict[str, Any]]:
    files = {"dense F16": 2.0, "dense Q4_0": 2.0 + dense, "pruned F16": 3.0, "pruned Q4_0": 3.0 + pruned}
    return rows({**files, "Q4_0, no matrix": 3.0 + plain})


def verdicts(pruned: float, plain: float, dense: float = 0.01) -> list[tuple[str, str]]:
    cells = verdict_cells(rises(measured(pruned, plain, dense), "t"), RISE_NATS)
    return [(found, verdict) for _, found, _, verdict in cells]


def test_rises_are_from_the_file_that_was_quantized() -> None:
    found = rises(measured(0.012, 0.02), "t")
    assert [rise.file for rise in found] == ["dense Q4_0", "pruned Q4_0", "Q4_0, no matrix"]
    assert [rise.nats for rise in found] == pytest.approx([0.01, 0.012, 0.02])
    assert found[0].to_dense is None
    assert [rise.to_dense for rise in found[1:]] == pytest.approx([1.2, 2.0])


@pytest.mark.parametrize(
    ("pruned", "plain", "dense", "expected"),
    [
        (0.0149, 0.0150, 0.01, ["met", "met"]),
        (0.0151, 0.0150, 0.01, ["not met", "not met"]),
        (0.0001, 0.0150, -0.01, ["not met", "met"]),
        (-0.001, 0.0150, -0.01, ["met", "met"]),
    ],
)
def test_the_claims_are_judged(pruned: float, plain: float, dense: float, expected: list[str]) -> None:
    assert [verdict for _, verdict in verdicts(pruned, plain, dense)[:2]] == expected


def test_tensors_are_named_above_five_percent_only() -> None:
    """ln 1.05 = 0.0488; of the costliest kind's layers those above the even share of 0.0167."""
    assert verdicts(0.0487, 0.05)[2] == ("+5.0%", "none to name")
    assert verdicts(0.0489, 0.05)[2] == ("+5.0%", "ffn_down, blk.0.ffn_down, blk.2.ffn_down")
    unmeasured = verdict_cells(rises(measured(0.0489, 0.05), "t"), None)
    assert unmeasured[2][3] == "not measured: add tensors to quantize.compare"


def test_what_was_not_made_is_not_judged() -> None:
    found = rows({"pruned F16": 3.0, "pruned Q4_0": 3.01})
    sections = quantization_sections(found, None, ["t"])
    assert [(title, cells) for title, _, cells in sections] == [
        ("Quantization, t", [("pruned Q4_0", "+0.01000", "+1.01%", "–")]),
        ("Verdicts on Q4_0, t", [("perplexity above F16", "+1.0%", "above 5% named", "none to name")]),
    ]
    costs = quantization_sections(found, RISE_NATS, ["t"])[-1][2]
    assert costs[0] == ("ffn_down", "+0.05000", "62%")
    assert [name for name, _, _ in costs[:3]] == ["ffn_down", "ffn_up", "attn_q"]


def test_without_pruning_the_shipped_file_is_judged_too() -> None:
    found = rows({"dense F16": 2.0, "dense Q4_0": 2.01, "F16": 2.0, "Q4_0": 2.009})
    assert [cells[-1] for cells in verdict_cells(rises(found, "t"), None)] == ["met", "none to name"]

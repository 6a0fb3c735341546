"""The report's tables on the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from compressor.report.tables import COLUMNS, cells, print_table


def _report(scale: float) -> dict[str, Any]:
    score = {"hf_stride": 9.87, "bits_per_byte": 0.612, "llama_cpp_chunk": 10.2}
    labels = ("dense F16", "dense Q4_0", "pruned F16", "pruned Q4_0", "pruned Q4_0, no importance matrix")
    rows = [
        {
            "label": label,
            "bytes": round(2e6 * scale),
            "parameters": round(1e6 * scale),
            "ffn_share_removed": 0.6696,
            "decode_tokens_per_s": 3000 / scale,
            "prompt_tokens_per_s": 60000 / scale,
            "texts": {"medquad": score},
            "tasks": {},
        }
        for label in labels
    ]
    recipe = {"name": "llama-3-8b-67-medquad", "content": {"evaluate": {"text": ["medquad"]}}}
    return {"model": "llama-3-8b", "recipe": recipe, "rows": rows, "published": [], "facts": {}}


@pytest.mark.parametrize("scale", [1.0, 8030.0])
def test_a_table_of_any_size_of_model_fits_80_columns_whole(scale: float) -> None:
    report, out = _report(scale), io.StringIO()
    print_table(report, Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    for row in cells(report, "medquad"):
        assert set(" ".join(row[: len(COLUMNS)]).split()) <= set(words)
    assert "…" not in out.getvalue()

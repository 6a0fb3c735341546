"""How the published baselines spread a budget over the layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.criteria.score import CRITERIA, llm_pruner_widths, native_method
from compressor.errors import BudgetError


def test_baselines_spread_a_budget_as_their_authors_do() -> None:
    native = {name: native_method(name) for name in CRITERIA if native_method(name) != "uniform"}
    assert native == {"flap": "global", "wanda": "sequential", "taylor": "llm-pruner"}


def test_a_model_of_32_layers_keeps_its_first_four_and_last_two_whole() -> None:
    """LLaMA-7B at 20%: 26 of 32 layers are pruned by a quarter, to within one block."""
    widths = llm_pruner_widths(32, 11264, 32 * 11264 * 4 // 5 // 256 * 256, 256)
    assert widths[:4] == [11264] * 4
    assert widths[-2:] == [11264] * 2
    assert {width / 11264 for width in widths[4:-2]} <= {33 / 44, 34 / 44}


@given(layers=st.integers(3, 80), blocks=st.integers(1, 20), share=st.floats(0.0, 0.99))
def test_the_total_is_exact_or_refused(layers: int, blocks: int, share: float) -> None:
    ffn = 32 * blocks
    kept = int(layers * blocks * (1 - share)) * 32
    whole = max(1, layers // 8) + max(1, layers // 16)
    if kept < whole * ffn + (layers - whole) * 32:
        with pytest.raises(BudgetError, match=r"keep more or use mask\.method = uniform"):
            llm_pruner_widths(layers, ffn, kept, 32)
        return
    widths = llm_pruner_widths(layers, ffn, kept, 32)
    assert sum(widths) == kept
    assert len(widths) == layers
    assert widths.count(ffn) >= whole
    assert all(0 < width <= ffn and width % 32 == 0 for width in widths)

"""Healing on a card that is short of memory: fewer rows at once with the same result, and one line where one is too much."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.errors import MemoryShortError
from compressor.heal.heal import heal
from compressor.heal.rows import HealRows
from compressor.layers import ModelView
from tests.compressor.heal.conftest import small
from tests.compressor.heal.test_heal import config_of

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture
def models(pruned: ModelView, dense: ModelView) -> tuple[ModelView, ModelView]:
    return pruned, dense


def limit_rows(monkeypatch: pytest.MonkeyPatch, rows: int, *, training: bool) -> None:
    """As where the forward pass of more rows does not fit, in training alone or in measuring alone."""
    forward = LlamaForCausalLM.forward

    def short(model: Any, input_ids: torch.Tensor, **named: Any) -> Any:
        if len(input_ids) > rows and model.training == training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, input_ids=input_ids, **named)

    monkeypatch.setattr(LlamaForCausalLM, "forward", short)


@pytest.mark.parametrize("training", [True, False])
def test_fewer_rows_at_once_train_the_same(
    training: bool,
    models: tuple[ModelView, ModelView],
    rows: HealRows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pruned, dense = models
    recipe, said = small(dropout=0.0, steps=2, rows_at_once=4), list[str]()
    whole = heal(pruned, dense, config_of(dense), recipe, rows, folder=tmp_path / "whole")
    limit_rows(monkeypatch, 1, training=training)
    split = heal(pruned, dense, config_of(dense), recipe, rows, folder=tmp_path / "split", say=said.append)
    assert said == [f"heal: the GPU's memory is short; {count} rows at once from here on" for count in (2, 1)]
    assert [loss for _, loss in split.train_curve] == pytest.approx([loss for _, loss in whole.train_curve], rel=1e-3)
    assert split.tuning_after == pytest.approx(whole.tuning_after, rel=1e-3)


def test_one_row_too_many_is_one_line(
    models: tuple[ModelView, ModelView], rows: HealRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned, dense = models
    limit_rows(monkeypatch, 0, training=True)
    with pytest.raises(MemoryShortError, match=r"one row does not fit in the GPU's memory; lower heal\.tokens_per_row"):
        heal(pruned, dense, config_of(dense), small(steps=2), rows, folder=tmp_path)

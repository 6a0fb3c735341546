"""A tiny model pruned to unequal widths, and settings that heal it in seconds, in float32 on any machine."""

from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.checkpoint import Checkpoint, Overlay
from compressor.families import find_family
from compressor.heal.rows import HealRows, build_heal_rows
from compressor.layers import ModelView
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Heal
from compressor.tokens import ChatTokenizer

SMALL: dict[str, Any] = {
    "data": "starter",
    "grounded_share": 0.0,
    "plain_share": 0.0,
    "learning_rate": 0.02,
    "batch_rows": 8,
    "rows_at_once": 3,
    "tokens_per_row": 64,
    "steps": 6,
    "tuning_rows": 6,
    "evaluate_every": 2,
}


def small(**changed: Any) -> Heal:
    return Heal(**{**SMALL, **changed})


def view(folder: Path) -> ModelView:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    return ModelView(checkpoint, family, family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config))


def prune_view(folder: Path, out: Path) -> ModelView:
    """Widths 64 and 32 of 128."""
    dense = view(folder)
    generator = torch.Generator().manual_seed(3)
    kept = [torch.randperm(128, generator=generator)[:width].sort().values for width in (64, 32)]
    write_pruned(dense.source, dense.family, kept, out)
    return ModelView(Overlay(dense.source, replaced_tensors(out)), dense.family, dense.shape, dense.frequencies)


@pytest.fixture(scope="session")
def tokenizer(tiny_folder: Path) -> ChatTokenizer:
    return ChatTokenizer(tiny_folder)


@pytest.fixture(scope="session")
def dense(tiny_folder: Path) -> ModelView:
    return view(tiny_folder)


@pytest.fixture(scope="session")
def pruned(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelView:
    return prune_view(tiny_folder, tmp_path_factory.mktemp("pruned"))


@pytest.fixture(scope="session")
def rows(tokenizer: ChatTokenizer) -> HealRows:
    return build_heal_rows(small(), tokenizer, None)


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without bfloat16, so that results can be compared to float32 precision; the switch has a test of its own."""
    monkeypatch.setattr("compressor.heal.precision.BFLOAT16_FLAGS", frozenset())

"""A step that runs out of device memory above so many rows, as a real module does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from compressor.compare.sequential import keep_sequentially
from compressor.device_memory import FittingBatches, memory_errors
from compressor.errors import MemoryShortError
from compressor.importance import importance
from compressor.layers import ModelView, stream_loss
from compressor.masks.curves import CurveInputs, measure_curves
from compressor.prune import replaced_tensors
from compressor.reconstruct.rounds import Rounds
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import Batch, make_batches
from compressor.walk import StreamCheckpoint
from tests.compressor.reconstruct.test_walk import rows as text_rows
from tests.compressor.reconstruct.test_walk import views
from tests.compressor.runs import compress

FITTING, TUNING = make_batches(text_rows(16, 5)), make_batches(text_rows(8, 7))


class Narrow(torch.nn.Module):
    """Adds its bias to at most `rows` rows at once."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows, self.seen = rows, list[int]()
        self.bias = torch.nn.Parameter(torch.ones(4), requires_grad=False)

    def forward(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        if len(states) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert batch.ids.shape == batch.valid.shape == states.shape[:2]
        self.seen.append(len(states))
        return states + self.bias * batch.ids[:, :, None]


def batch(rows: int) -> Batch:
    ids = torch.arange(rows * 3).view(rows, 3)
    return Batch(ids, torch.ones_like(ids, dtype=torch.bool))


@pytest.mark.parametrize(("rows", "pieces"), [(8, [8]), (5, [4, 4]), (3, [2, 2, 2, 2]), (1, [1] * 8)])
def test_a_batch_is_halved_until_it_fits(rows: int, pieces: list[int]) -> None:
    said: list[str] = []
    states, module = torch.rand(8, 3, 4), Narrow(rows)
    result = FittingBatches(said.append).run(module, states, batch(8))
    assert torch.equal(result, states + batch(8).ids[:, :, None])
    assert module.seen == pieces
    assert len(said) == {8: 0, 5: 1, 3: 2, 1: 3}[rows]


def test_the_size_that_fits_is_remembered() -> None:
    said: list[str] = []
    module, fitting = Narrow(3), FittingBatches(said.append)
    fitting.run(module, torch.rand(8, 3, 4), batch(8))
    before = list(said)
    fitting.run(module, torch.rand(7, 3, 4), batch(7))
    assert module.seen[4:] == [2, 2, 2, 1]
    assert (
        said
        == before
        == [
            "cpu has no memory for 8 rows of 3 tokens; going on with 4 at once",
            "cpu has no memory for 4 rows of 3 tokens; going on with 2 at once",
        ]
    )


def test_one_row_that_does_not_fit_is_an_error_with_numbers() -> None:
    with pytest.raises(MemoryShortError, match="one row of 3 tokens does not fit in the memory of cpu"):
        FittingBatches(lambda _: None).run(Narrow(0), torch.rand(2, 3, 4), batch(2))


def test_what_cannot_be_split_is_one_line_too() -> None:
    with (
        pytest.raises(MemoryShortError, match=r"^03-mask ran out of memory \(CUDA out of memory\); lower") as raised,
        memory_errors("03-mask"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.\nSee the documentation")
    assert "\n" not in str(raised.value)
    with (
        pytest.raises(MemoryShortError, match=r"05-reconstruct ran out of memory .*allocate"),
        memory_errors("05-reconstruct"),
    ):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="size of tensor"), memory_errors("05-reconstruct"):
        torch.ones(2) + torch.ones(3)


def limit_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """As on a card on which the attention of more rows does not fit."""
    attention = functional.scaled_dot_product_attention

    def short(query: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        if len(query) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return attention(query, *arguments, **named)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", short)


def walk_reconstruct(dense: ModelView, pruned: ModelView, folder: Path) -> list[torch.Tensor]:
    walk = Reconstruction(dense, pruned, FITTING, TUNING, "dense", rounds=Rounds("wanda", 2))
    walk.run((0.1,), folder / "refit", StreamCheckpoint(folder / "state"))
    source = replaced_tensors(folder / "refit")
    return [torch.tensor(walk.tuning_loss), *(source.tensor(name) for name in source.names())]


def walk_curves(dense: ModelView, _: ModelView, folder: Path) -> list[torch.Tensor]:
    scores = [torch.arange(128, dtype=torch.float64)] * dense.shape.layers
    return [
        measure_curves(CurveInputs(dense, scores, FITTING, TUNING, refit=True), [64], StreamCheckpoint(folder / "c"))
    ]


def walk_importance(dense: ModelView, _pruned: ModelView, _folder: Path) -> list[torch.Tensor]:
    return [torch.from_numpy(values) for values in importance(dense, FITTING).values()]


def walk_sequentially(dense: ModelView, _pruned: ModelView, _folder: Path) -> list[torch.Tensor]:
    return keep_sequentially(dense, FITTING, 64)


def walk_loss(dense: ModelView, _pruned: ModelView, _folder: Path) -> list[torch.Tensor]:
    return [torch.tensor(stream_loss(dense, TUNING))]


@pytest.mark.parametrize("walk", [walk_reconstruct, walk_curves, walk_importance, walk_sequentially, walk_loss])
def test_every_walk_goes_on_with_fewer_rows(
    walk: Any, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with torch.inference_mode():
        dense, pruned = views(tiny_folder, tmp_path)
        wide = walk(dense, pruned, tmp_path / "wide")
        limit_rows(monkeypatch, 3)
        tight = [replace(view, fitting=FittingBatches(said.append)) for view in (dense, pruned)]
        narrow = walk(*tight, tmp_path / "narrow")
    assert said == [
        f"cpu has no memory for {rows} rows of 61 tokens; going on with {rows // 2} at once" for rows in (8, 4)
    ]
    for expected, found in zip(wide, narrow, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_pipeline_says_which_stage_ran_out(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_rows(monkeypatch, 0)
    with pytest.raises(MemoryShortError, match=r"one row of \d+ tokens does not fit in the memory of cpu"):
        compress(tiny_folder, tmp_path, tmp_path / "rows")
    monkeypatch.undo()
    monkeypatch.setattr(functional, "cross_entropy", _short)
    with pytest.raises(MemoryShortError, match=r"^03-mask ran out of memory \(CUDA out of memory\); lower"):
        compress(tiny_folder, tmp_path, tmp_path / "learned", method="learned")


def _short(*_: Any, **__: Any) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")

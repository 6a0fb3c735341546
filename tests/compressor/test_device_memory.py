"""A step that runs out of device memory above so many rows, as a real module does."""

import pytest
import torch

from compressor.device_memory import FittingBatches
from compressor.errors import MemoryShortError
from compressor.rows import Batch


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

"""The budget `retention`: the smallest model whose tuning loss is at most the dense model's divided by α.

Losses are nats over the same rows and so over the same bytes: their ratio is that of the bits per byte. The search is a
bisection over the total kept, which takes the loss to fall with the size; what it returns has itself been measured to hold
the bound, and the next smaller size has been measured not to hold it. Cost: about log2(sizes) candidates, each pruned,
reconstructed as the recipe says, and run over the tuning rows.
"""

from collections.abc import Callable

from compressor.errors import BudgetError

Measure = Callable[[int], float]
"""A total kept to the loss of its model in nats per token."""


def smallest_size(measured: Measure, sizes: range, dense_loss: float, retention: float) -> int:
    """The smallest of `sizes` (ascending) whose loss is at most dense_loss / retention, were the loss monotone.

    Raises BudgetError with the α that the largest of them reaches.
    """
    limit = dense_loss / retention
    largest = measured(sizes[-1])
    if largest > limit:
        raise BudgetError(
            f"budget.retention = {retention} is impossible: already removing the least that can be removed "
            f"leaves {dense_loss / largest:.4f}; lower it"
        )
    if measured(sizes[0]) <= limit:
        return sizes[0]
    low, high = 0, len(sizes) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if measured(sizes[middle]) <= limit:
            high = middle
        else:
            low = middle
    return sizes[high]

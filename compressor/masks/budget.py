"""Budgets: how many FFN neurons a model may keep.

Rounding, for every kind: widths are multiples of `multiple` and never 0; the total kept is the largest multiple (of
layers · `multiple` where all layers get one width) that does not exceed the budget; at least one block goes, so a budget
that the dense model meets is refused. `retention` is no number of neurons: its ceiling is the most that may be kept, and
`compressor.masks.retention` looks below it.
"""

from dataclasses import dataclass

from compressor.errors import BudgetError
from compressor.families.contract import ModelShape
from compressor.recipe.tables import Budget
from models.boards import find_board
from models.catalogue import CatalogueModel, LayerShapes
from models.memory import estimate_memory


@dataclass(frozen=True)
class Cost:
    """What the model costs besides its FFN neurons, and what one neuron costs, in parameters and in file bytes."""

    layers: int
    ffn: int
    fixed_parameters: int
    parameters_per_neuron: int
    fixed_bytes: int
    """Q4_0 file without any FFN weight: header, embedding, attention, norms."""
    bytes_per_neuron: float
    running_bytes: int = 0
    """Cache and compute buffers while the file runs with `budget.context_tokens`."""

    @property
    def neurons(self) -> int:
        """FFN neurons of the dense model."""
        return self.layers * self.ffn

    @property
    def dense_parameters(self) -> int:
        """Unique parameters of the dense model."""
        return self.fixed_parameters + self.parameters_per_neuron * self.neurons


@dataclass(frozen=True)
class _Price:
    """A budget as `limit` of fixed + each · neurons."""

    kind: str
    limit: int
    fixed: int
    each: float

    def ceiling(self) -> int:
        return int((self.limit - self.fixed) / self.each) if self.limit > self.fixed else 0


def running_bytes(shape: ModelShape, context_tokens: int) -> int:
    """Cache and compute buffers of the dense widths, in bytes: an upper bound for every pruned width."""
    shapes = LayerShapes(
        hidden=shape.hidden,
        ffn=shape.ffn,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab=shape.vocab,
        tied=shape.tied,
    )
    described = CatalogueModel("", "", "", "llama", 0, context_tokens, (), shapes)
    return estimate_memory(described, context_tokens).running_bytes


def neuron_step(cost: Cost, method: str, multiple: int) -> int:
    """By how much the total kept can change: one block, or with method `uniform` one in every layer."""
    return cost.layers * multiple if method == "uniform" else multiple


def neuron_ceiling(budget: Budget, cost: Cost, method: str, multiple: int) -> int:
    """The most neurons that may be kept over all layers. Raises BudgetError with the possible range."""
    if multiple > cost.ffn:
        raise BudgetError(f"mask.multiple = {multiple} is wider than the FFN ({cost.ffn}); lower it")
    step = neuron_step(cost, method, multiple)
    smallest = cost.layers * multiple
    largest = min((cost.neurons - 1) // step * step, cost.layers * (cost.ffn // multiple) * multiple)
    if largest < smallest:
        raise BudgetError(f"mask.multiple = {multiple} leaves nothing to prune of an FFN of {cost.ffn}; lower it")
    if budget.retention is not None:
        return largest
    if budget.ffn_share is not None:
        ceiling = int((1 - budget.ffn_share) * cost.neurons + 1e-9)
        if ceiling < smallest:
            most = 1 - smallest / cost.neurons
            raise BudgetError(f"budget.ffn_share = {budget.ffn_share} is impossible: at most {most:.4f} can be removed")
        return min(ceiling // step * step, largest)
    price = _price(budget, cost)
    if not smallest <= price.ceiling() < cost.neurons:
        low, high = (price.fixed + price.each * neurons for neurons in (smallest, largest))
        raise BudgetError(
            f"budget.{price.kind} is impossible: it allows {price.limit}, "
            f"the smallest possible is {low:.0f}, the largest {high:.0f}"
            + (", and the dense model fits as it is" if price.ceiling() >= cost.neurons else "")
        )
    return min(price.ceiling() // step * step, largest)


def _price(budget: Budget, cost: Cost) -> _Price:
    if budget.parameters is not None:
        return _Price("parameters", budget.parameters, cost.fixed_parameters, cost.parameters_per_neuron)
    if budget.board is not None:
        board = find_board(budget.board)
        return _Price(
            f"board = {budget.board}", board.usable_bytes, cost.fixed_bytes + cost.running_bytes, cost.bytes_per_neuron
        )
    assert budget.bytes is not None
    return _Price("bytes", budget.bytes, cost.fixed_bytes, cost.bytes_per_neuron)

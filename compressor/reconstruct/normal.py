"""What a refit of `down` is fitted and judged on: normal equations of the calibration rows, held rows of tuning text."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Normal:
    """Normal equations of one layer, float64: H = Σhhᵀ (k, k) and C = ΣYhᵀ (hidden, k).

    With a bias h carries a last entry of 1, so that a weight's last column is the bias: solving for it beside the rest is
    the same as solving the centred equations and taking mean(Y) − W·mean(h).
    """

    gram: torch.Tensor
    cross: torch.Tensor
    biased: bool

    @classmethod
    def zeros(cls, kept: int, hidden: int, *, biased: bool = False, device: torch.device | None = None) -> "Normal":
        """Nothing counted yet."""
        columns = kept + biased
        shapes = ((columns, columns), (hidden, columns))
        gram, cross = (torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes)
        return cls(gram, cross, biased)

    def add(self, h: torch.Tensor, wanted: torch.Tensor) -> None:
        """Count rows h (tokens, k) and what they should give, (tokens, hidden): float32 products, float64 sums."""
        columns = with_ones(h) if self.biased else h
        self.gram.add_(columns.T @ columns)
        self.cross.add_(wanted.T @ columns)


@dataclass
class Held:
    """Rows that a refit is judged on but never fitted to."""

    biased: bool
    _rows: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def add(self, h: torch.Tensor, wanted: torch.Tensor) -> None:
        """Keep rows h (tokens, k) and what they should give, (tokens, hidden)."""
        self._rows.append((with_ones(h) if self.biased else h, wanted))

    def left_by(self, weight: torch.Tensor, probe: torch.Tensor) -> "Held":
        """The same h with what `weight` leaves of Y, seen along the rows of `probe` (directions, hidden) alone."""
        narrow, across = weight.float().T, probe.float().T
        return Held(biased=False, _rows=[(h, (wanted - h @ narrow) @ across) for h, wanted in self._rows])

    def error(self, weight: torch.Tensor) -> float:
        """Σ‖Y − W h‖² of `weight` (hidden, k), the last column its bias where there is one."""
        narrow = weight.float().T
        return sum(float((wanted - h @ narrow).square().sum(dtype=torch.float64)) for h, wanted in self._rows)


def with_ones(h: torch.Tensor) -> torch.Tensor:
    """h with a last column of ones, (tokens, k + 1)."""
    return torch.cat((h, h.new_ones(h.shape[0], 1)), dim=1)

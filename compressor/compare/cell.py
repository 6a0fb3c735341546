"""One cell of a comparison: what was done to the model, and what came of it, as a small JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from compressor.manifest import write_json

FORMAT = 3
"""Of the cells' meaning: raised whenever code changes what a cell of the same name is measured as."""
Reconstruct = Literal["none", "bias", "own", "dense"]
"""What makes up for the neurons that went: nothing, FLAP's bias, or a refit towards the own output or the dense stream."""
Missing = Literal["failed", "left_out"]
"""Why a cell has no numbers: something broke, or its method cannot be had for this model, share or machine."""
Losses = dict[str, list[tuple[float, int]]]
"""Text to its documents' summed next-token losses in nats and scored tokens, in the order of the documents."""


@dataclass(frozen=True, order=True)
class Cell:
    """One model of the comparison; the fields say all that was done to the dense one."""

    criterion: str
    """A name of `CRITERIA`, or `slicegpt`, `atp`, `obs`, `obs-exact`; `dense` is the untouched model."""
    allocation: str
    """How the budget is spread over the layers: a mask method; `sequential` and `llm-pruner`, equal widths on pruned inputs and
    LLM-Pruner's; `own` where the method decides."""
    reconstruction: Reconstruct
    rounds: int
    """Steps in which the neurons go."""
    heal: str
    """Text that LoRA healed the model on, or `none`."""
    share: float
    """Share of the FFN neurons asked to go."""
    seed: int
    """Draws the calibration rows and whatever the method itself draws."""

    @property
    def name(self) -> str:
        """The cell's file name without suffix."""
        parts = (self.criterion, self.allocation, self.reconstruction, f"rounds{self.rounds}", f"heal-{self.heal}")
        return "-".join((*parts, f"share{self.share:.4f}", f"seed{self.seed}"))

    @property
    def method(self) -> "Method":
        """The cell without its share and seed."""
        return Method(self.criterion, self.allocation, self.reconstruction, self.rounds, self.heal)


@dataclass(frozen=True, order=True)
class Method:
    """What cells of any share and seed have in common."""

    criterion: str
    allocation: str
    reconstruction: Reconstruct = "none"
    rounds: int = 1
    heal: str = "none"

    def at(self, share: float, seed: int) -> Cell:
        """The method's cell at one share and seed."""
        return Cell(self.criterion, self.allocation, self.reconstruction, self.rounds, self.heal, share, seed)

    @property
    def label(self) -> str:
        """The method in a table: only what is not the plainest case is named."""
        parts = ["atp (trains weights)" if self.criterion == "atp" else self.criterion]
        parts += [self.allocation] if self.allocation not in {"uniform", "own"} else []
        parts += [f"{self.rounds} round{'' if self.rounds == 1 else 's'}"] if self.criterion.startswith("obs") else []
        text = " ".join(parts)
        text += f" + {self.reconstruction}" if self.reconstruction != "none" else ""
        return text + (f", healed on {self.heal}" if self.heal != "none" else "")


@dataclass(frozen=True)
class Measured:
    """What one cell gave."""

    cell: Cell
    losses: Losses
    tuning_loss: float
    """Mean nats per token on the tuning rows of the cell's seed: the only number that a choice may be made on."""
    widths: tuple[int, ...]
    parameters: int
    """Unique parameters of the whole model."""
    wall_s: float
    facts: dict[str, Any] = field(default_factory=dict)


def dense_cell(heal: str = "none", seed: int = 0) -> Cell:
    """The model as it came, or healed like the others."""
    return Cell("dense", "own", "none", 1, heal, 0.0, seed)


def write_measured(folder: Path, measured: Measured) -> None:
    """Write `NAME.json`. Raises StorageError."""
    write_json(folder / f"{measured.cell.name}.json", asdict(measured))


def write_missing(folder: Path, cell: Cell, kind: Missing, message: str) -> None:
    """Write `NAME.json` of a cell without numbers; the next run tries it again. Raises StorageError."""
    write_json(folder / f"{cell.name}.json", {"cell": asdict(cell), kind: message})


def read_missing(folder: Path, kind: Missing) -> dict[str, str]:
    """Name to reason of every cell of a comparison that `failed` or was `left_out`, sorted by name."""
    found = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
    return {name: content[kind] for name, content in found.items() if content is not None and kind in content}


def read_measured(folder: Path, cell: Cell) -> Measured | None:
    """The finished cell, or None where it is missing, damaged or failed."""
    content = _read(folder / f"{cell.name}.json")
    return _parse(content) if content is not None and "losses" in content else None


def read_all(folder: Path) -> list[Measured]:
    """Every finished cell of a comparison, sorted by name."""
    found = (_read(path) for path in sorted(folder.glob("*.json")))
    return [_parse(content) for content in found if content is not None and "losses" in content]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _parse(content: Mapping[str, Any]) -> Measured:
    losses = {text: [(float(nats), int(scored)) for nats, scored in rows] for text, rows in content["losses"].items()}
    known = {**content, "cell": Cell(**content["cell"]), "losses": losses, "widths": tuple(content["widths"])}
    return Measured(**known)

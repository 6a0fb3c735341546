"""What `bedside device plan` predicts against what is measured: random weights in the shapes of a 1B and an 8B model.

Prediction and measurement alternate, each from nothing: the small files are timed anew, then the model's own file. Usage:
`python -m benchmarks.plan`; ends with 1 where a median of the ratios is further than 15 % from 1.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.serve.files import model_file
from device.speed_probe import measure_unit_costs
from device.unit_costs import UnitCosts
from device.workload import workload_of_header
from models.gguf_header import read_header
from models.runtime.library import default_threads
from models.runtime.speed import measure_speed

PROMPT_TOKENS, ANSWER_TOKENS, PAIRS = 512, 64, 5
NAMES = ("1b", "8b")
LIMIT = 0.15


@dataclass(frozen=True)
class Pair:
    """Tokens per second that were predicted, and those that were measured."""

    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """1 where the prediction is right."""
        return self.predicted / self.measured


def compare(path: Path, costs: UnitCosts) -> tuple[Pair, Pair]:
    """The prompt's and the answer's speed."""
    work = workload_of_header(read_header(path))
    assert work is not None
    speed = measure_speed(path, PROMPT_TOKENS, ANSWER_TOKENS, runs=1)
    prompt = PROMPT_TOKENS / costs.prompt_s(work, PROMPT_TOKENS)
    answer_s = sum(costs.answer_token_s(work, PROMPT_TOKENS + token) for token in range(ANSWER_TOKENS))
    return Pair(prompt, speed.prompt_tokens_per_s), Pair(ANSWER_TOKENS / answer_s, speed.decode_tokens_per_s)


def main() -> int:
    """Print medians over the pairs; 1 where one misses."""
    pairs: dict[tuple[str, str], list[Pair]] = {}
    for _ in range(PAIRS):
        for name in NAMES:
            costs = measure_unit_costs(default_threads(), lambda _: None)
            for kind, pair in zip(("prompt", "answer"), compare(model_file(name), costs), strict=True):
                pairs.setdefault((name, kind), []).append(pair)
    table = Table(title=f"medians of {PAIRS} alternated pairs, {PROMPT_TOKENS} + {ANSWER_TOKENS} tokens")
    for column in ("", "", "predicted tok/s", "measured tok/s", "ratio, median of pairs", "lowest", "highest"):
        table.add_column(column, justify="right" if column else "left")
    for key, found in pairs.items():
        ratios = [pair.ratio for pair in found]
        speeds = [statistics.median(each) for each in _columns(found)]
        figures = [statistics.median(ratios), min(ratios), max(ratios)]
        table.add_row(*key, *(f"{speed:.1f}" for speed in speeds), *(f"{figure:.2f}" for figure in figures))
    Console().print(table)
    middle = [statistics.median(pair.ratio for pair in found) for found in pairs.values()]
    return int(any(abs(ratio - 1) > LIMIT for ratio in middle))


def _columns(found: Sequence[Pair]) -> tuple[list[float], list[float]]:
    return [pair.predicted for pair in found], [pair.measured for pair in found]


if __name__ == "__main__":
    sys.exit(main())

"""What all cells of a comparison share: the rows and statistics of each seed, the held-out text, the budgets."""

from dataclasses import dataclass
from pathlib import Path

from compressor.calibrate import Statistics, calibrate, load_statistics, save_statistics
from compressor.checkpoint import TensorSource
from compressor.compare.cell import Losses
from compressor.compare.texts import HeldOut, read_held_out
from compressor.heal.rows import HealRows, build_heal_rows
from compressor.job import Job
from compressor.layers import mean_loss, stream_losses
from compressor.masks.budget import Cost, neuron_ceiling
from compressor.recipe.tables import Budget, Heal, Recipe
from compressor.rows import Batch, make_batches
from compressor.sizes import model_cost
from compressor.tokens import TokenRows, build_rows, load_rows, save_rows
from compressor.walk import StreamCheckpoint


@dataclass(frozen=True)
class SeedInputs:
    """What one seed's calibration gives to every criterion."""

    seed: int
    rows: TokenRows
    statistics: Statistics
    folder: Path
    """Where results that depend on the seed only may be kept."""

    @property
    def fitting(self) -> list[Batch]:
        """Calibration rows in batches."""
        return make_batches(self.rows.calibrate)

    @property
    def tuning(self) -> list[Batch]:
        """Tuning rows in batches."""
        return make_batches(self.rows.tuning)


class Bench:
    """One model, its held-out text and its seeds' inputs; the last seed asked for stays in memory."""

    def __init__(self, job: Job, held_out: dict[str, HeldOut]) -> None:
        self.job = job
        self.held_out = held_out
        self._cost: Cost | None = None
        self._seed: SeedInputs | None = None
        self._heal_rows: dict[str, HealRows] = {}

    @property
    def cost(self) -> Cost:
        """What the model costs without its neurons, and what one neuron costs."""
        if self._cost is None:
            self._cost = model_cost(self.job)
        return self._cost

    def kept_total(self, share: float) -> int:
        """Neurons that every cell of a share keeps: a count that equal widths can meet. Raises BudgetError."""
        return neuron_ceiling(Budget(ffn_share=share), self.cost, "uniform", self.job.recipe.mask.multiple)

    def seed_inputs(self, seed: int) -> SeedInputs:
        """Rows and statistics of one seed, made once and kept on disk. Raises TextError, StorageError."""
        if self._seed is None or self._seed.seed != seed:
            self._seed = self._load_seed(seed)
        return self._seed

    def _load_seed(self, seed: int) -> SeedInputs:
        folder = self.job.out / "seeds" / str(seed)
        rows_path, statistics_path = folder / "rows.safetensors", folder / "statistics.safetensors"
        if not rows_path.is_file():
            recipe = self.job.recipe.calibrate.model_copy(update={"seed": seed})
            save_rows(rows_path, build_rows(recipe, self.job.tokenizer, self.job.data))
        rows = load_rows(rows_path)
        if not statistics_path.is_file():
            state = StreamCheckpoint(folder / "state.safetensors")
            advance = self.job.reporter.step(f"calibrate seed {seed}", self.job.shape.layers)
            save_statistics(statistics_path, calibrate(self.job.dense(), make_batches(rows.calibrate), state, advance))
            state.remove()
        return SeedInputs(seed, rows, load_statistics(statistics_path, self.job.shape.layers), folder)

    def heal_recipe(self, data: str) -> Heal:
        """The recipe's [heal] table for one text."""
        return heal_table(self.job.recipe, data)

    def heal_rows(self, data: str) -> HealRows:
        """Rows that every cell healed on `data` sees in the same order. Raises TextError."""
        if data not in self._heal_rows:
            self._heal_rows[data] = build_heal_rows(self.heal_recipe(data), self.job.tokenizer, self.job.data)
        return self._heal_rows[data]

    def measure(self, source: TensorSource) -> Losses:
        """Losses of every held-out document under a model of any widths."""
        model = self.job.view(source)
        return {text: stream_losses(model, make_batches(held_out.rows)) for text, held_out in self.held_out.items()}

    def tuning_loss(self, source: TensorSource, seed: SeedInputs) -> float:
        """Mean nats per token on the seed's tuning rows."""
        return mean_loss(stream_losses(self.job.view(source), seed.tuning))


def heal_table(recipe: Recipe, data: str) -> Heal:
    """The recipe's [heal] table, or the default one, for one text."""
    return (recipe.heal or Heal()).model_copy(update={"data": data})


def open_bench(job: Job, documents: int) -> Bench:
    """Read the held-out text of the recipe's [evaluate] table. Raises TextError."""
    recipe = job.recipe.evaluate
    held_out = {
        text: read_held_out(text, job.data, job.tokenizer, documents, recipe.context_tokens) for text in recipe.text
    }
    return Bench(job, held_out)

"""Training the adapters: AdamW, cosine, gradients accumulated to the batch, early stop on tuning loss, resumable."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from compressor.errors import MemoryShortError
from compressor.heal.adapters import adapter_parameters, load_adapter
from compressor.heal.objective import Objective, by_length, total_weight
from compressor.heal.rows import HealRow, HealRows
from compressor.heal.state import Curves, Named, TrainingCheckpoint, TrainingState
from compressor.recipe.tables import Heal
from compressor.walk import Advance

WARMUP_SHARE = 0.03
GRADIENT_CLIP = 1.0
Say = Callable[[str], None]


class Training:
    """One model's adapters being trained. `run` leaves the best adapters in the model."""

    def __init__(
        self,
        model: Any,
        objective: Objective,
        recipe: Heal,
        rows: HealRows,
        *,
        checkpoint: TrainingCheckpoint,
        say: Say,
    ) -> None:
        self._model, self._objective, self._recipe, self._rows = model, objective, recipe, rows
        self._checkpoint, self._say = checkpoint, say
        self._parameters = adapter_parameters(model)
        self._optimiser = torch.optim.AdamW(list(self._parameters.values()), lr=recipe.learning_rate, weight_decay=0.0)
        self._rows_at_once = recipe.rows_at_once
        self.steps = count_steps(recipe, rows)

    def run(self, advance: Advance) -> Curves:
        """Train to the end, the early stop, or on from where an interrupted run was. Raises StorageError."""
        state = self._checkpoint.load()
        if state is None:
            state = TrainingState(0, self._values(), self._values(), {}, {}, Curves())
            state.curves.tuning.append((0, self._tuning_loss()))
        else:
            load_adapter(self._model, state.adapter)
            self._restore_moments(state)
        for _ in range(state.next_step):
            advance()
        while state.next_step < self.steps and not self._is_over(state.curves):
            self._train_step(state)
            advance()
            if self._checkpoint.is_due:
                self._checkpoint.save(self._snapshot(state))
        for _ in range(self.steps - state.next_step):
            advance()
        load_adapter(self._model, state.best)
        return state.curves

    def _train_step(self, state: TrainingState) -> None:
        step, size = state.next_step, self._recipe.batch_rows
        loss = self._accumulate(step, self._rows.train[step * size : (step + 1) * size])
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), GRADIENT_CLIP)
        for group in self._optimiser.param_groups:
            group["lr"] = self._recipe.learning_rate * learning_rate_factor(step, self.steps)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        state.next_step = step + 1
        state.curves.train.append((state.next_step, loss))
        if state.next_step % self._recipe.evaluate_every == 0 or state.next_step == self.steps:
            state.curves.tuning.append((state.next_step, self._tuning_loss()))
            if state.curves.best[0] == state.next_step:
                state.best = self._values()

    def _accumulate(self, step: int, rows: Sequence[HealRow]) -> float:
        """Gradients of the mean weighted loss of a whole batch; the loss."""
        return self._in_passes(lambda: self._accumulate_once(step, rows))

    def _in_passes(self, work: Callable[[], float]) -> float:
        """`work` in smaller passes where a GPU's memory is short. Raises MemoryShortError where one row is too much."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                if self._rows_at_once == 1:
                    raise MemoryShortError(
                        "heal: one row does not fit in the GPU's memory; lower heal.tokens_per_row, set "
                        "heal.gradient_checkpointing = true, or use --device cpu"
                    ) from error
            self._rows_at_once = max(1, self._rows_at_once // 2)
            self._optimiser.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            self._say(f"heal: the GPU's memory is short; {self._rows_at_once} rows at once from here on")

    def _accumulate_once(self, step: int, rows: Sequence[HealRow]) -> float:
        ordered, total, loss = by_length(rows), total_weight(rows), 0.0
        self._model.train()
        with torch.random.fork_rng():
            torch.manual_seed((self._recipe.seed << 32) + step)
            for start in range(0, len(ordered), self._rows_at_once):
                part = self._objective.training_loss(self._model, ordered[start : start + self._rows_at_once]) / total
                part.backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach())
        return loss

    def _tuning_loss(self) -> float:
        self._model.eval()
        return self._in_passes(lambda: self._objective.tuning_loss(self._model, self._rows.tuning, self._rows_at_once))

    def _is_over(self, curves: Curves) -> bool:
        since_best = [step for step, _ in curves.tuning if step > curves.best[0]]
        return len(since_best) >= self._recipe.patience

    def _values(self) -> Named:
        return {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def _snapshot(self, state: TrainingState) -> TrainingState:
        moments = {name: self._optimiser.state[parameter] for name, parameter in self._parameters.items()}
        state.adapter = self._values()
        state.first = {name: moment["exp_avg"] for name, moment in moments.items()}
        state.second = {name: moment["exp_avg_sq"] for name, moment in moments.items()}
        return state

    def _restore_moments(self, state: TrainingState) -> None:
        for name, parameter in self._parameters.items():
            self._optimiser.state[parameter] = {
                "step": torch.tensor(float(state.next_step)),
                "exp_avg": state.first[name].to(parameter.device),
                "exp_avg_sq": state.second[name].to(parameter.device),
            }


def count_steps(recipe: Heal, rows: HealRows) -> int:
    """Whole steps that the rows give, and no more than the recipe wants."""
    whole = len(rows.train) // recipe.batch_rows
    return whole if recipe.steps is None else min(whole, recipe.steps)


def learning_rate_factor(step: int, steps: int) -> float:
    """Share of the peak at `step` (from 0): linear warm-up over 3% of the steps, then a half cosine that ends near 0."""
    warmup = max(1, round(WARMUP_SHARE * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (steps - warmup + 1)))

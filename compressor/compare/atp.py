"""Masks learned together with LoRA, after ATP (All-in-One Tuning and Structural Pruning, arXiv 2412.14426).

As in its code: a neuron's gate is a Gumbel sigmoid with straight-through rounding, gates start open, LoRA adapters are
trained at the same time, and the loss is next-token cross-entropy + 5·log(max(p, p*) / min(p, p*)), p the share kept and
p* the target. Different here: the gates' logits are free parameters where ATP's come from a hypernetwork; only FFN
neurons are gated, not attention heads; there is no group lasso on LoRA; text is the calibration rows; the logits are
projected to the exact number of neurons in blocks, several times over the last part of training, and the projection that
loses least on the tuning rows stays. Adapters have the settings that healed models get (rank, alpha, learning rate and its
schedule). It trains weights, so it stands apart from methods that do not.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from compressor.assemble import assemble, require_memory
from compressor.checkpoint import Overlay, TensorSource
from compressor.heal.adapters import adapter_parameters, add_adapters, load_adapter, write_merged
from compressor.heal.memory import training_bytes
from compressor.heal.training import learning_rate_factor
from compressor.job import Job
from compressor.masks.choose import keep_highest, threshold_widths
from compressor.masks.gates import as_masks
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Heal
from compressor.rows import Batch, make_batches
from compressor.walk import Advance

RATE_WEIGHT = 5.0
OPEN_LOGIT = 3.0
"""Where every gate starts: open but for one draw in twenty."""
TEMPERATURE = 0.4
GATE_LEARNING_RATE = 0.1
"""So high because the steps are few: a logit has to be able to fall from `OPEN_LOGIT` below zero."""
ROWS_PER_STEP = 4
LOOKS_FROM, LOOKS = 0.5, 5
"""After which share of the steps the tuning rows are looked at, and how often."""


@dataclass(frozen=True)
class GateTask:
    """What the gates are learned for; adapters are those of the recipe's [heal], steps those of its learned masks."""

    job: Job
    rows: Sequence[Sequence[int]]
    """Calibration rows of token ids."""
    tuning: Sequence[Sequence[int]]
    """Rows that choose among the steps."""
    kept_total: int
    seed: int

    @property
    def recipe(self) -> Heal:
        """The adapters' settings. Without dropout: the gates draw enough."""
        return (self.job.recipe.heal or Heal()).model_copy(update={"dropout": 0.0, "seed": self.seed})

    @property
    def steps(self) -> int:
        """Steps of training."""
        return self.job.recipe.mask.steps


@dataclass(frozen=True)
class Gated:
    """The best look at the tuning rows: its neurons and adapters, laid over the dense checkpoint."""

    source: TensorSource
    best_step: int
    tuning_losses: list[tuple[int, float]]
    """Step and nats per token of the model that the step's projection leaves, unmerged."""


def gumbel_gates(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """0 or 1 for every logit, drawn, with the gradient of the relaxed draw; shape of `logits`."""
    uniform = torch.rand((2, *logits.shape), generator=generator).clamp(1e-6, 1 - 1e-6).to(logits.device)
    first, second = -torch.log(-torch.log(uniform))
    relaxed = torch.sigmoid((logits + first - second) / TEMPERATURE)
    return (relaxed >= 0.5).to(relaxed.dtype) + (relaxed - relaxed.detach())


def rate_loss(kept: torch.Tensor, target: float) -> torch.Tensor:
    """log(max(p, p*) / min(p, p*)): zero where the share kept is the target's, alike above and below."""
    return torch.log(kept.clamp(min=1e-6) / target).abs()


def learn_gates(task: GateTask, folder: Path, advance: Advance = lambda: None) -> Gated:
    """Trained weights of the neurons that stay, as they were when the tuning rows lost least; tensors in `folder`.

    Deterministic on the CPU with fixed threads. Raises MemoryShortError, StorageError.
    """
    job, dense = task.job, task.job.dense()
    longest = max(len(row) for row in task.rows)
    shaped = task.recipe.model_copy(update={"rows_at_once": ROWS_PER_STEP, "tokens_per_row": longest, "base": "full"})
    require_memory(
        training_bytes(dense, None, shaped, torch.float32),
        "criterion atp (all weights, adapters and one step's activations in float32)",
        "leave it out or take a larger machine",
        dense.device,
    )
    # The comparison runs in inference mode, whose tensors can take no gradient.
    with torch.inference_mode(mode=False), torch.enable_grad():
        training = _Training(task)
        best = training.run(advance)
        load_adapter(training.model, best.adapter)
        write_merged(training.model, job.checkpoint, job.family, job.shape, folder / "tuned")
    tuned = Overlay(job.checkpoint, replaced_tensors(folder / "tuned"))
    write_pruned(tuned, job.family, best.kept, folder / "pruned")
    return Gated(Overlay(tuned, replaced_tensors(folder / "pruned")), best.step, training.looks)


def project(logits: torch.Tensor, kept_total: int, multiple: int) -> list[torch.Tensor]:
    """Kept indices per layer, int64: exactly `kept_total` of the highest logits, in blocks of `multiple`."""
    values = list(logits.double())
    return keep_highest(values, threshold_widths(values, kept_total, multiple))


def due_looks(steps: int) -> frozenset[int]:
    """Steps after which the projection is measured on the tuning rows: evenly over the last part, the last among them."""
    first = round(LOOKS_FROM * steps)
    return frozenset(steps - round((steps - first) * part / LOOKS) for part in range(LOOKS))


@dataclass(frozen=True)
class _Look:
    loss: float
    step: int
    kept: list[torch.Tensor]
    adapter: dict[str, torch.Tensor]


class _Training:
    def __init__(self, task: GateTask) -> None:
        job, shape = task.job, task.job.shape
        self._task, self._device = task, job.group.device
        base = assemble(job.checkpoint, job.family, shape, job.checkpoint.config, device=self._device)
        self.model = add_adapters(base, job.family, shape, task.recipe)
        self.looks: list[tuple[int, float]] = []
        self._logits = torch.full((shape.layers, shape.ffn), OPEN_LOGIT, device=self._device, requires_grad=True)
        self._gates: torch.Tensor = self._logits
        self._gate_layers()

    def run(self, advance: Advance) -> _Look:
        """Train all steps; the look with the lowest tuning loss, the earliest where they tie."""
        task, recipe = self._task, self._task.recipe
        adapters = {"params": list(adapter_parameters(self.model).values()), "lr": recipe.learning_rate}
        gates = {"params": [self._logits], "lr": GATE_LEARNING_RATE}
        optimiser = torch.optim.AdamW([adapters, gates], weight_decay=0.0)
        generator = torch.Generator().manual_seed(task.seed)
        order = random.Random(task.seed)
        due = due_looks(task.steps)
        best: _Look | None = None
        for step in range(1, task.steps + 1):
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * learning_rate_factor(step - 1, task.steps)
            self._step(optimiser, generator, order)
            if step in due:
                look = self._look(step)
                best = look if best is None or look.loss < best.loss else best
            advance()
        assert best is not None
        return best

    def _step(self, optimiser: torch.optim.Optimizer, generator: torch.Generator, order: random.Random) -> None:
        task, shape = self._task, self._task.job.shape
        self._gates = gumbel_gates(self._logits, generator)
        (batch,) = make_batches(order.sample(list(task.rows), min(ROWS_PER_STEP, len(task.rows))), ROWS_PER_STEP)
        target = task.kept_total / (shape.layers * shape.ffn)
        total = self._nats(batch, "mean") + RATE_WEIGHT * rate_loss(self._gates.mean(), target)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    @torch.no_grad()
    def _look(self, step: int) -> _Look:
        """The model of this step's projection on the tuning rows."""
        kept = project(self._logits.detach().cpu(), self._task.kept_total, self._task.job.recipe.mask.multiple)
        self._gates = as_masks(kept, self._task.job.shape.ffn).to(self._device)
        batches = make_batches(self._task.tuning, ROWS_PER_STEP)
        nats = sum(float(self._nats(batch, "sum")) for batch in batches)
        loss = nats / sum(int(batch.valid[:, 1:].sum()) for batch in batches)
        self.looks.append((step, loss))
        adapter = {name: value.detach().clone() for name, value in adapter_parameters(self.model).items()}
        return _Look(loss, step, kept, adapter)

    def _nats(self, batch: Batch, reduction: str) -> torch.Tensor:
        found = self.model(input_ids=batch.ids.to(self._device)).logits[:, :-1][batch.valid[:, 1:]]
        wanted = batch.ids[:, 1:][batch.valid[:, 1:]].to(self._device)
        return functional.cross_entropy(found.float(), wanted, reduction=reduction)

    def _gate_layers(self) -> None:
        """Multiply the input of every down projection by its row of whatever the gates are at the time."""

        def hook(layer: int) -> Any:
            return lambda _, arguments: (arguments[0] * self._gates[layer], *arguments[1:])

        job = self._task.job
        for layer in range(job.shape.layers):
            down = job.family.layer_names(layer).down.removesuffix(".weight")
            self.model.get_base_model().get_submodule(down).register_forward_pre_hook(hook(layer))

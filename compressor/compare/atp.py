"""Masks learned together with LoRA, after ATP (All-in-One Tuning and Structural Pruning, arXiv 2412.14426).

As in its code: a neuron's gate is a Gumbel sigmoid with straight-through rounding, gates start open, LoRA adapters are
trained at the same time, and the loss is next-token cross-entropy + 5·log(max(p, p*) / min(p, p*)), p the share kept and
p* the target. Different here: the gates' logits are free parameters where ATP's come from a hypernetwork; only FFN
neurons are gated, not attention heads; there is no group lasso on LoRA; text is the calibration rows; and at the end the
logits are projected to the exact number of neurons in blocks. It trains weights, so it stands apart from methods that do not.
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
from compressor.heal.adapters import adapter_parameters, add_adapters, write_merged
from compressor.job import Job
from compressor.masks.choose import keep_highest, threshold_widths
from compressor.prune import replaced_tensors, write_pruned
from compressor.recipe.tables import Heal
from compressor.rows import make_batches
from compressor.walk import Advance

RATE_WEIGHT = 5.0
OPEN_LOGIT = 3.0
"""Where every gate starts: open but for one draw in twenty."""
TEMPERATURE = 0.4
GATE_LEARNING_RATE = 0.1
"""So high because the steps are few: a logit has to be able to fall from `OPEN_LOGIT` below zero."""
ROWS_PER_STEP = 4
STEPS = 60


@dataclass(frozen=True)
class GateTask:
    """What the gates are learned for."""

    job: Job
    rows: Sequence[Sequence[int]]
    """Calibration rows of token ids."""
    kept_total: int
    seed: int
    steps: int = STEPS


def gumbel_gates(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """0 or 1 for every logit, drawn, with the gradient of the relaxed draw; shape of `logits`."""
    uniform = torch.rand((2, *logits.shape), generator=generator).clamp(1e-6, 1 - 1e-6)
    first, second = -torch.log(-torch.log(uniform))
    relaxed = torch.sigmoid((logits + first - second) / TEMPERATURE)
    return (relaxed >= 0.5).to(relaxed.dtype) + (relaxed - relaxed.detach())


def rate_loss(kept: torch.Tensor, target: float) -> torch.Tensor:
    """log(max(p, p*) / min(p, p*)): zero where the share kept is the target's, alike above and below."""
    return torch.log(kept.clamp(min=1e-6) / target).abs()


def learn_gates(task: GateTask, folder: Path, advance: Advance = lambda: None) -> TensorSource:
    """The dense checkpoint with the trained weights of the neurons that stay, its tensors in `folder`.

    Deterministic on the CPU with fixed threads. Raises MemoryShortError, StorageError.
    """
    job = task.job
    require_memory(
        4 * 4 * sum(_size(job.checkpoint.shape(name)) for name in job.checkpoint.names()),
        "criterion atp (all weights and one step's activations in float32)",
        "leave it out or take a larger machine",
    )
    # The comparison runs in inference mode, whose tensors can take no gradient.
    with torch.inference_mode(mode=False), torch.enable_grad():
        recipe = Heal(dropout=0.0, seed=task.seed)
        base = assemble(job.checkpoint, job.family, job.shape, job.checkpoint.config)
        model = add_adapters(base, job.family, job.shape, recipe)
        logits = _train(task, model, recipe, advance)
        write_merged(model, job.checkpoint, job.family, job.shape, folder / "tuned")
    kept = project(logits, task.kept_total, job.recipe.mask.multiple)
    tuned = Overlay(job.checkpoint, replaced_tensors(folder / "tuned"))
    write_pruned(tuned, job.family, kept, folder / "pruned")
    return Overlay(tuned, replaced_tensors(folder / "pruned"))


def project(logits: torch.Tensor, kept_total: int, multiple: int) -> list[torch.Tensor]:
    """Kept indices per layer, int64: exactly `kept_total` of the highest logits, in blocks of `multiple`."""
    values = list(logits.double())
    return keep_highest(values, threshold_widths(values, kept_total, multiple))


def _train(task: GateTask, model: Any, recipe: Heal, advance: Advance) -> torch.Tensor:
    """The gates' logits after training, float32 (layers, ffn)."""
    shape = task.job.shape
    logits = torch.full((shape.layers, shape.ffn), OPEN_LOGIT, requires_grad=True)
    gates: list[torch.Tensor] = [logits]
    _gate_layers(model, task.job, gates)
    groups = [
        {"params": list(adapter_parameters(model).values()), "lr": recipe.learning_rate},
        {"params": [logits], "lr": GATE_LEARNING_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    generator = torch.Generator().manual_seed(task.seed)
    order = random.Random(task.seed)
    target = task.kept_total / (shape.layers * shape.ffn)
    for _ in range(task.steps):
        gates[0] = gumbel_gates(logits, generator)
        (batch,) = make_batches(order.sample(list(task.rows), min(ROWS_PER_STEP, len(task.rows))), ROWS_PER_STEP)
        found = model(input_ids=batch.ids).logits[:, :-1][batch.valid[:, 1:]]
        loss = functional.cross_entropy(found.float(), batch.ids[:, 1:][batch.valid[:, 1:]])
        optimiser.zero_grad()
        total = loss + RATE_WEIGHT * rate_loss(gates[0].mean(), target)
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        advance()
    return logits.detach()


def _gate_layers(model: Any, job: Job, gates: list[torch.Tensor]) -> None:
    """Multiply the input of every down projection by its row of whatever `gates` holds at the time."""

    def hook(layer: int) -> Any:
        return lambda _, arguments: (arguments[0] * gates[0][layer], *arguments[1:])

    for layer in range(job.shape.layers):
        down = job.family.layer_names(layer).down.removesuffix(".weight")
        model.get_base_model().get_submodule(down).register_forward_pre_hook(hook(layer))


def _size(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())

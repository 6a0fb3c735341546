"""Healing from source to merged weights: on a pruned model, and on the dense one that the papers' ratio needs."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from compressor.assemble import assemble, require_memory
from compressor.heal.adapters import add_adapters, write_merged
from compressor.heal.memory import training_bytes
from compressor.heal.objective import Objective
from compressor.heal.precision import training_dtype
from compressor.heal.quantized_base import quantize_base, require_bitsandbytes
from compressor.heal.rows import HealRows
from compressor.heal.state import Curves, TrainingCheckpoint
from compressor.heal.training import Say, Training
from compressor.layers import ModelView
from compressor.recipe.tables import Heal
from compressor.walk import CHECKPOINT_EVERY_S, Advance

REMEDY = (
    "lower heal.rows_at_once or heal.tokens_per_row, set heal.gradient_checkpointing = true, or take a larger machine"
)


@dataclass(frozen=True)
class HealOutcome:
    """Losses in nats per weighted token; curves as (step, loss)."""

    dtype: str
    """What training computed in: bfloat16 where the machine has it in hardware."""
    steps: int
    best_step: int
    """After which step the merged adapters were; 0: nothing helped, and the merged weights are the old ones."""
    tuning_before: float
    tuning_after: float
    train_curve: list[tuple[int, float]]
    tuning_curve: list[tuple[int, float]]


def heal(
    model: ModelView,
    teacher: ModelView,
    config: Mapping[str, Any],
    recipe: Heal,
    rows: HealRows,
    *,
    folder: Path,
    advance: Advance = lambda: None,
    say: Say = lambda _: None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> HealOutcome:
    """Train LoRA on `model` and write its merged layers into `folder` (to be laid over `model.source`).

    `teacher` is the dense model, read only where the recipe distils; it may be `model` itself. `config` is the checkpoint's
    config.json. Embeddings and norms stay as they are. An interrupted run continues from `folder`/state.safetensors with the
    same result (CPU, the same number of threads). Raises MemoryShortError, RecipeError, StorageError.
    """
    require_bitsandbytes(recipe.base)
    dtype = training_dtype(model.device)
    dense = None if recipe.objective == "cross-entropy" else teacher
    require_memory(training_bytes(model, dense, recipe, dtype), "healing", REMEDY, model.device)
    checkpoint = TrainingCheckpoint(folder / "state.safetensors", checkpoint_every_s)
    # Stages run without autograd, and tensors born there could not be trained on.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng():
        objective = Objective(recipe, None if dense is None else _assemble(dense, config, dtype), dtype)
        adapted = add_adapters(_frozen(model, config, recipe, dtype), model.family, model.shape, recipe)
        training = Training(adapted, objective, recipe, rows, checkpoint=checkpoint, say=say)
        curves = training.run(advance)
        write_merged(adapted, model.source, model.family, model.shape, folder)
    checkpoint.remove()
    return _outcome(dtype, training.steps, curves)


def _outcome(dtype: torch.dtype, steps: int, curves: Curves) -> HealOutcome:
    return HealOutcome(
        dtype=str(dtype).removeprefix("torch."),
        steps=steps,
        best_step=curves.best[0],
        tuning_before=curves.tuning[0][1],
        tuning_after=curves.best[1],
        train_curve=curves.train,
        tuning_curve=curves.tuning,
    )


def _assemble(model: ModelView, config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    return assemble(model.source, model.family, model.shape, config, dtype=dtype, device=model.device)


def _frozen(model: ModelView, config: Mapping[str, Any], recipe: Heal, dtype: torch.dtype) -> Any:
    base = _assemble(model, config, dtype)
    quantize_base(base, model.family, model.shape, recipe.base, dtype)
    if recipe.gradient_checkpointing:
        with warnings.catch_warnings():
            # Newer transformers call it activation checkpointing; the name that all of 5.x knows still works.
            warnings.filterwarnings("ignore", "`gradient_checkpointing_enable` is deprecated", FutureWarning)
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return base

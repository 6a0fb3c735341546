"""What `bedside device plan` prints: a table for people, one object for programs."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from device.other_processes import Others
from device.plan import PROMPT_TOKENS, PlannedModel, Prediction, Variant
from device.speed_profile import SpeedProfile
from device.views import bandwidth_text
from models.disk import show_bytes


@dataclass(frozen=True)
class Plan:
    """All that a plan says."""

    models: list[PlannedModel]
    profile: SpeedProfile
    measured_now: bool
    n_ctx: int
    free_bytes: int


@contextmanager
def measuring() -> Iterator[Callable[[str], None]]:
    """What is being measured, on standard error where that is a terminal."""
    console = Console(stderr=True)
    with console.status("") as status:
        yield lambda what: status.update(Text(what))


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The plan as plain values; None where nothing is known."""
    return {
        "context_tokens": plan.n_ctx,
        "free_bytes": plan.free_bytes,
        "measured": {**asdict(plan.profile), "now": plan.measured_now, "disturbed": plan.profile.others.disturb},
        "models": [_model_facts(model) for model in plan.models],
    }


def _model_facts(model: PlannedModel) -> dict[str, Any]:
    return {
        "id": model.id,
        "file": model.file,
        "context_tokens": model.context_tokens,
        "as_it_is": _variant_facts(model.as_it_is),
        "pruned": _variant_facts(model.pruned),
        "note": model.note,
    }


def _variant_facts(variant: Variant | None) -> dict[str, Any] | None:
    if variant is None:
        return None
    memory = variant.memory
    return {
        "ffn_share": variant.ffn_share,
        "weights_bytes": memory.weights_bytes,
        "kv_bytes": memory.kv_bytes,
        "compute_bytes": memory.compute_bytes,
        "library_bytes": memory.library_bytes,
        "total_bytes": memory.total_bytes,
        "fits": variant.fits,
        "predicted": None if variant.predicted is None else asdict(variant.predicted),
    }


def print_plan(plan: Plan) -> None:
    """What was measured, then a line for each model, and one more for what pruning would make of it."""
    console = Console(highlight=False)
    console.print(Text(_measured_line(plan)))
    if plan.profile.others.disturb:
        console.print(Text(_disturbed_line(plan.profile.others), style="yellow"))
    console.print(Text(_room_line(plan)), end="\n\n")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Model", "Q4_0", "Memory", "Prompt", "Answer", "Fits"):
        left = heading in ("Model", "Fits")
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "Model", overflow="fold")
    for model in plan.models:
        _add_rows(table, model)
    console.print(table)
    for note in _notes(plan):
        console.print(Text(note, style="dim"))


def _measured_line(plan: Plan) -> str:
    when = "just now" if plan.measured_now else plan.profile.measured_at
    byte_s = plan.profile.costs.matrix_byte_s
    weights = f", Q4_0 weights at {1e-9 / byte_s:.1f} GB/s" if byte_s else ""
    return f"Measured {when}: {bandwidth_text(plan.profile.bandwidth)}{weights}."


def _disturbed_line(others: Others) -> str:
    busiest = ", ".join(f"{name} {cores:.2f}" for name, cores in others.busiest.items())
    named = f" ({busiest})" if busiest else ""
    return (
        f"Disturbed: other processes took {others.cores:.2f} cores meanwhile{named}, so the speeds may be far too low."
        " This measurement is not kept: end those processes, then run the command again."
    )


def _room_line(plan: Plan) -> str:
    return f"Free: {show_bytes(plan.free_bytes)}. Context: {plan.n_ctx:,} tokens. Speeds are predicted, in tokens/s."


def _add_rows(table: Table, model: PlannedModel) -> None:
    variant = model.as_it_is
    if variant is None:
        table.add_row(Text(_short(model)), "", "", "", "", "damaged")
        return
    verdict = "yes" if variant.fits else "pruned" if model.pruned else "no"
    if not variant.fits and model.file is None and model.pruned is None:
        verdict = "not even pruned"
    table.add_row(Text(_short(model)), *_cells(variant), Text(verdict, style="green" if variant.fits else ""))
    if model.pruned is not None:
        table.add_row(Text(f"  {show_share(model.pruned.ffn_share)} pruned"), *_cells(model.pruned), "yes")


def _short(model: PlannedModel) -> str:
    """Its id, or of a file's path the last part."""
    return Path(model.id).name


def _cells(variant: Variant) -> list[str]:
    sizes = [show_bytes(variant.memory.weights_bytes), show_bytes(variant.memory.total_bytes)]
    return [*sizes, *_speeds(variant.predicted)]


def _speeds(predicted: Prediction | None) -> list[str]:
    if predicted is None:
        return ["unknown", "unknown"]
    full, empty = (_speed(speed) for speed in (predicted.full_answer_tokens_per_s, predicted.answer_tokens_per_s))
    return [_speed(predicted.prompt_tokens_per_s), full if full == empty else f"{full}-{empty}"]


def _speed(tokens_per_s: float) -> str:
    return f"{tokens_per_s:,.0f}" if tokens_per_s >= 100 else f"{tokens_per_s:.1f}"


def show_share(ffn_share: float) -> str:
    """A share to prune by, for people: rounded up, so that what is pruned by it does fit."""
    return f"{math.ceil(100 * ffn_share - 1e-9)}%"


def _notes(plan: Plan) -> list[str]:
    legend = (
        f"Q4_0: the file's tensors. Memory: with cache and buffers. Prompt: one of {PROMPT_TOKENS} tokens. Answer: with a full "
        "context, and right behind such a prompt. Pruned: the least share of FFN neurons that has to go."
    )
    return ["", legend, *(f"{_short(model)}: {model.note}" for model in plan.models if model.note)]

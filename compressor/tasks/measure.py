"""Models by name, measured one after the other on the same text and questions."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressor.perplexity import score_documents
from compressor.progress import Reporter
from compressor.tasks.answers import Answer
from compressor.tasks.checkpoint import CheckpointModel
from compressor.tasks.evaluate import evaluate_tasks, item_count
from compressor.tasks.gguf import GgufModel
from compressor.tasks.items import Mode, Task
from models.resolve import resolve_checkpoint, resolve_gguf

EXPLANATIONS = 20


def open_model(name: str) -> AbstractContextManager[GgufModel | CheckpointModel]:
    """A Hugging Face folder where there is one, else a GGUF file by path or id. Raises BedsideError of several kinds."""
    if Path(name).is_dir():
        return nullcontext(CheckpointModel(resolve_checkpoint(name)))
    return GgufModel(resolve_gguf(name))


def measure(
    models: Mapping[str, str],
    tasks: Sequence[Task],
    texts: Mapping[str, Sequence[str]],
    mode: Mode,
    *,
    window: int,
    folder: Path | None,
    reporter: Reporter,
) -> list[dict[str, Any]]:
    """One row for each label and model name; the answers of all but the first are compared with the first's."""
    rows: list[dict[str, Any]] = []
    first: dict[str, list[Answer]] | None = None
    for label, name in models.items():
        advance = reporter.step(label, item_count(tasks) + sum(map(len, texts.values())))
        with open_model(name) as model:
            found = evaluate_tasks(
                model, tasks, mode, dense=first, folder=folder, label=label, explanations=EXPLANATIONS, advance=advance
            )
            scores = {
                source: asdict(score_documents(model, documents, min(window, model.longest), advance))
                for source, documents in texts.items()
            }
        first = found.answers if first is None else first
        rows.append({"label": label, "model": name, "tasks": found.summaries, "texts": scores})
    return rows

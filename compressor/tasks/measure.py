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


def find_model(name: str) -> Path:
    """A Hugging Face folder where there is one, else a GGUF file by path or id. Raises ModelFileError, ModelNotFoundError."""
    return resolve_checkpoint(name) if Path(name).is_dir() else resolve_gguf(name)


def open_model(path: Path) -> AbstractContextManager[GgufModel | CheckpointModel]:
    """A folder or a file. Raises BedsideError of several kinds."""
    return nullcontext(CheckpointModel(path)) if path.is_dir() else GgufModel(path)


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
    # All are looked for before the first is measured.
    paths = {label: find_model(name) for label, name in models.items()}
    for label, name in models.items():
        with open_model(paths[label]) as model:
            advance = reporter.step(label, item_count(tasks) + sum(map(len, texts.values())))
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

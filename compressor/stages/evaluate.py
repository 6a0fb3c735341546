"""Stage 09: the finished files measured through llama.cpp."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressor.errors import RecipeError
from compressor.evaluate import evaluate_file
from compressor.heal.rows import source_name
from compressor.job import Job
from compressor.manifest import write_json
from compressor.stages.contract import Outcome, finished_files, text_digest
from compressor.tasks.benchmarks import read_task, task_file
from compressor.tasks.evaluate import Evaluated, evaluate_tasks, item_count
from compressor.tasks.generation import Citations, check_count, check_generation, citation_count, citation_scores
from compressor.tasks.gguf import GgufModel
from compressor.tasks.items import Task
from compressor.tasks.published import published_rows
from compressor.text import read_texts, resolve_file
from models.disk import hash_file
from models.errors import TextError

DENSE = "dense F16"


def evaluate_inputs(job: Job) -> dict[str, Any]:
    """The table, the text and the questions it names. Raises TextError before any work where they are missing."""
    recipe = job.recipe.evaluate
    if recipe.citations and job.data is None:
        raise TextError("evaluate.citations needs MedQuAD: give --data DIR or set BEDSIDE_DATA")
    _check_apart(job)
    _tasks(job)
    asked = (*(["starter"] if recipe.answers else []), *(["medquad"] if recipe.citations else []))
    return {
        "recipe": recipe.model_dump(),
        "text": {source: text_digest(job, source, "valid") for source in sorted({*recipe.text, *asked})},
        "tasks": {name: hash_file(task_file(name, job.data)) for name in recipe.tasks},
    }


def _check_apart(job: Job) -> None:
    """Text that is learnt is never measured on, whatever name it goes by. Raises RecipeError."""
    recipe = job.recipe
    learnt = {text: resolve_file(text, job.data, "train") for text in recipe.calibrate.text}
    if recipe.heal is not None and recipe.heals:
        learnt[recipe.heal.data] = resolve_file(source_name(recipe.heal), job.data, "train")
    measured = {text: resolve_file(text, job.data, "valid") for text in recipe.evaluate.text}
    measured |= {name: task_file(name, job.data) for name in recipe.evaluate.tasks}
    if recipe.evaluate.citations:
        measured["citations"] = resolve_file("medquad", job.data, "valid")
    for text, path in learnt.items():
        for name, other in measured.items():
            if path is not None and other is not None and path.resolve() == other.resolve():
                raise RecipeError(f"{path} is learnt ({text}) and measured on ({name}); give each a file of its own")


def run_evaluate(job: Job, folder: Path) -> Outcome:
    """Size, perplexity and speed of every finished file; its answers to tasks, against those of the dense file."""
    recipe = job.recipe.evaluate
    texts = {source: read_texts(source, job.data, recipe.documents) for source in recipe.text}
    tasks, neurons = _tasks(job), job.shape.layers * job.shape.ffn
    rows: list[dict[str, Any]] = []
    files: list[Path] = []
    dense, cited = None, None
    for label, path in finished_files(job).items():
        row = evaluate_file(
            label, path, texts, window=recipe.context_tokens, dense_neurons=neurons, reporter=job.reporter
        )
        asked = _ask(job, folder, label, path, tasks, dense=dense)
        citations = _cite(job, label, path)
        if label == DENSE:
            dense, cited = asked, citations
        found = {} if citations is None else {"citations": citations.to_json(None if label == DENSE else cited)}
        rows.append({**row, "tasks": asked.summaries, **_writing(job, label, path, tasks), **found})
        files += asked.files
    published = [asdict(row) for row in published_rows(job.recipe_name)] if tasks else []
    facts = {"rows": rows, "published": published}
    write_json(folder / "evaluation.json", facts)
    return Outcome((folder / "evaluation.json", *files), facts)


def _tasks(job: Job) -> list[Task]:
    recipe = job.recipe.evaluate
    return [
        read_task(name, job.data, template=recipe.template, mode=recipe.mode, limit=recipe.limit)
        for name in recipe.tasks
    ]


def _ask(
    job: Job, folder: Path, label: str, path: Path, tasks: Sequence[Task], *, dense: Evaluated | None
) -> Evaluated:
    if not tasks:
        return Evaluated({}, {}, ())
    recipe = job.recipe.evaluate
    advance = job.reporter.step(f"questions {label}", item_count(tasks))
    with GgufModel(path) as model:
        return evaluate_tasks(
            model,
            tasks,
            recipe.mode,
            dense=None if dense is None else dense.answers,
            folder=folder,
            label=label,
            explanations=recipe.explanations,
            advance=advance,
        )


def _writing(job: Job, label: str, path: Path, tasks: Sequence[Task]) -> dict[str, Any]:
    count = job.recipe.evaluate.answers
    if not count:
        return {}
    advance = job.reporter.step(f"answers {label}", check_count(tasks, count))
    with GgufModel(path) as model:
        return {"generation": check_generation(model, tasks, count, advance)}


def _cite(job: Job, label: str, path: Path) -> Citations | None:
    questions = job.recipe.evaluate.citations
    if not questions or job.data is None:
        return None
    advance = job.reporter.step(f"citations {label}", citation_count(questions))
    return citation_scores(path, job.data, questions, advance)

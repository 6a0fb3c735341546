"""Stage 09: the finished files measured through llama.cpp."""

from pathlib import Path
from typing import Any

from compressor.evaluate import evaluate_file, read_texts
from compressor.job import Job
from compressor.manifest import write_json
from compressor.stages.contract import Outcome, finished_files, text_digest


def evaluate_inputs(job: Job) -> dict[str, Any]:
    """The table and the text it names."""
    recipe = job.recipe.evaluate
    return {
        "recipe": recipe.model_dump(),
        "text": {source: text_digest(job, source, "valid") for source in recipe.text},
    }


def run_evaluate(job: Job, folder: Path) -> Outcome:
    """Size, perplexity and speed of every finished file."""
    recipe = job.recipe.evaluate
    texts = {source: read_texts(source, job.data, recipe.documents) for source in recipe.text}
    neurons = job.shape.layers * job.shape.ffn
    rows = [
        evaluate_file(label, path, texts, window=recipe.context_tokens, dense_neurons=neurons, reporter=job.reporter)
        for label, path in finished_files(job).items()
    ]
    write_json(folder / "evaluation.json", {"rows": rows})
    return Outcome((folder / "evaluation.json",), {"rows": rows})

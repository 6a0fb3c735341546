"""`bedside evaluate`: one model file or checkpoint on text and questions, without a compression run."""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


class TemplateName(str, Enum):
    """What `--template` takes."""

    LM_EVAL = "lm-eval"
    CONTEXT = "context"


class ModeName(str, Enum):
    """What `--mode` takes."""

    LIKELIHOOD = "likelihood"
    GENERATE = "generate"


Limit = Annotated[int | None, typer.Option(min=1, help="At most so many questions of a task and documents of a text.")]
Data = Annotated[
    Path | None, typer.Option(envvar="BEDSIDE_DATA", help="Folder of corpora and benchmarks.", file_okay=False)
]
Template = Annotated[TemplateName, typer.Option(help="Prompts of lm-eval, or of the second paper.")]
Errors = Annotated[
    Path | None,
    typer.Option(help="New folder for every answer and a listing of those wrong or fixed.", file_okay=False),
]


def evaluate(
    model: Annotated[str, typer.Argument(help="GGUF file, Hugging Face folder, or catalogue id.")],
    *,
    tasks: Annotated[
        str, typer.Option(help="With commas: medqa, medmcqa, pubmedqa, retention (need --data), or JSONL files.")
    ] = "",
    text: Annotated[
        list[str] | None, typer.Option(help="Text to measure perplexity on: .txt, .md, JSONL, starter, or a corpus.")
    ] = None,
    dense: Annotated[str | None, typer.Option(help="Model whose answers are compared, question by question.")] = None,
    data: Data = None,
    limit: Limit = None,
    template: Template = TemplateName.LM_EVAL,
    mode: Annotated[ModeName, typer.Option(help="Weigh given answers, or match written ones.")] = ModeName.LIKELIHOOD,
    window: Annotated[int, typer.Option(min=16, help="Context for perplexity, in tokens.")] = 512,
    errors: Errors = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure MODEL's perplexity on text and its answers to medical benchmarks."""
    from compressor.progress import bars
    from compressor.tasks.benchmarks import read_task
    from compressor.tasks.measure import measure
    from compressor.text import read_texts

    names = [name for name in tasks.split(",") if name]
    if not names and not text:
        raise typer.BadParameter("nothing to measure: give --tasks, --text, or both")
    if errors is not None and errors.is_dir() and any(errors.iterdir()):
        raise typer.BadParameter(f"--errors {errors} holds files, perhaps of another model; give a new folder")
    asked = [read_task(name, data, template=template.value, mode=mode.value, limit=limit) for name in names]
    texts = {source: read_texts(source, data, limit) for source in text or ()}
    models = {**({"dense": dense} if dense else {}), "model": model}
    try:
        with bars() as reporter:
            rows = measure(models, asked, texts, mode.value, window=window, folder=errors, reporter=reporter)
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was measured to the end", err=True)
        raise typer.Exit(130) from None
    show(rows, as_json=as_json)


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """One JSON object on stdout, or tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from compressor.report.accuracy import print_accuracy

    if as_json:
        typer.echo(json.dumps({"rows": rows}, ensure_ascii=False))
        return
    print_accuracy(rows, [], Console())
    if not rows[0]["texts"]:
        return
    table = Table("model", "text", "perplexity", "bits/byte", "tokens", "llama.cpp chunks", box=box.SIMPLE)
    for row in rows:
        for source, score in row["texts"].items():
            chunks = score["llama_cpp_chunk"]
            numbers = (f"{score['hf_stride']:.3f}", f"{score['bits_per_byte']:.4f}", f"{score['scored_tokens']:,}")
            table.add_row(row["label"], source, *numbers, "–" if chunks is None else f"{chunks:.3f}")
    Console().print(table)

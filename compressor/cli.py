"""`bedside compress` and `bedside report`; what is heavy is imported when a command runs."""

from pathlib import Path
from typing import Annotated

import typer


def compress(
    model: Annotated[
        str,
        typer.Argument(help="Catalogue id (`reference` is the built-in one), local Hugging Face folder, or Hub id."),
    ],
    recipe: Annotated[str, typer.Option(help="Recipe name or TOML file.")],
    out: Annotated[Path, typer.Option(help="Run folder: new, empty, or one to continue.", file_okay=False)],
    data: Annotated[
        Path | None,
        typer.Option(envvar="BEDSIDE_DATA", help="Folder of the corpora that a recipe may name.", file_okay=False),
    ] = None,
) -> None:
    """Compress MODEL to a Q4_0 GGUF file by a recipe, and report what was kept."""
    from rich.console import Console

    from compressor.job import open_job
    from compressor.pipeline import run_job
    from compressor.progress import bars
    from compressor.recipe.load import load_recipe
    from compressor.report.tables import build_report, print_table
    from models.resolve import resolve_checkpoint

    loaded = load_recipe(recipe)
    folder = resolve_checkpoint(model)
    try:
        with bars() as reporter:
            manifest = run_job(open_job(model, folder, loaded, out=out, data=data, reporter=reporter))
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command to continue", err=True)
        raise typer.Exit(130) from None
    print_table(build_report(out, manifest), Console())
    typer.echo(f"report: {out / 'report' / 'report.md'}", err=True)


def report(run: Annotated[Path, typer.Argument(help="Run folder of `bedside compress`.")]) -> None:
    """Write and print the report of a finished run again."""
    from rich.console import Console

    from compressor.report.tables import build_report, print_table, read_manifest, write_report

    manifest = read_manifest(run)
    write_report(run, manifest)
    print_table(build_report(run, manifest), Console())

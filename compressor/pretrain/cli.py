"""`bedside pretrain`: train, evaluate, package and, on request, replace the built-in reference model."""

from pathlib import Path
from typing import Annotated

import typer


def pretrain(
    out: Annotated[Path, typer.Option(help="Run folder; a run that stands there is continued.", file_okay=False)],
    data: Annotated[
        Path,
        typer.Option(envvar="BEDSIDE_DATA", help="Folder of the corpora (medquad, nursing, ...).", file_okay=False),
    ],
    tokens: Annotated[int, typer.Option(min=1_000, help="All training tokens.")] = 20_000_000,
    questions: Annotated[int, typer.Option(min=1, help="MedQuAD valid questions asked in the evaluation.")] = 300,
    install: Annotated[
        bool, typer.Option("--install", help="Compress the result and replace the built-in model with both.")
    ] = False,
) -> None:
    """Train the reference model on TOKENS tokens, report on valid, and write OUT/model with its card."""
    from compressor.pretrain.config import PretrainConfig
    from compressor.pretrain.run import install_package, train_and_package

    try:
        package = train_and_package(PretrainConfig(total_tokens=tokens), data, out, questions)
        typer.echo(f"model: {package}; answers to the first ten questions: {out / 'first-ten.json'}", err=True)
        if install:
            typer.echo(f"installed: {install_package(package, out)}", err=True)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command to continue", err=True)
        raise typer.Exit(130) from None

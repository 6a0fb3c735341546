"""`bedside compress`, `bedside compare` and `bedside report`; what is heavy is imported when a command runs."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compressor.compare.run import Comparison


class Device(str, Enum):
    """What `--device` takes."""

    CPU = "cpu"
    CUDA = "cuda"


Data = Annotated[
    Path | None,
    typer.Option(envvar="BEDSIDE_DATA", help="Folder of the corpora that a recipe may name.", file_okay=False),
]


OneDevice = Annotated[
    Device | None,
    typer.Option(help="Where the layers run. The default is cuda where there is a GPU, else cpu."),
]


def compress(
    model: Annotated[
        str,
        typer.Argument(help="Catalogue id (`reference` is the built-in one), local Hugging Face folder, or Hub id."),
    ],
    recipe: Annotated[str, typer.Option(help="Recipe name or TOML file.")],
    out: Annotated[Path, typer.Option(help="Run folder: new, empty, or one to continue.", file_okay=False)],
    data: Data = None,
    device: OneDevice = None,
) -> None:
    """Compress MODEL to a Q4_0 GGUF file by a recipe, and report what was kept."""
    from rich.console import Console

    from compressor.distributed import joined
    from compressor.job import open_job
    from compressor.pipeline import assist_job, run_job
    from compressor.progress import bars
    from compressor.recipe.load import load_recipe
    from compressor.report.tables import build_report, print_table
    from models.resolve import resolve_checkpoint

    loaded = load_recipe(recipe)
    folder = resolve_checkpoint(model)
    try:
        with joined(device and device.value) as group, bars(shown=group.leads) as reporter:
            job = open_job(model, folder, loaded, out=out, data=data, reporter=reporter, group=group)
            if not group.leads:
                assist_job(job)
                return
            manifest = run_job(job)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command to continue", err=True)
        raise typer.Exit(130) from None
    print_table(build_report(out, manifest), Console())
    typer.echo(f"report: {out / 'report' / 'index.html'}", err=True)


def compare(
    model: Annotated[str, typer.Argument(help="Catalogue id, local Hugging Face folder, or Hub id.")],
    *,
    recipe: Annotated[str, typer.Option(help="Recipe name or TOML file: text, widths, ridge, held-out text.")],
    out: Annotated[Path, typer.Option(help="Folder: new, empty, or one to continue.", file_okay=False)],
    data: Data = None,
    seeds: Annotated[int, typer.Option(min=1, help="Calibration samples to draw; 3 give the spread.")] = 3,
    shares: Annotated[str, typer.Option(help="Shares of FFN neurons to remove, with commas.")] = "0.3,0.5,0.67",
    documents: Annotated[int, typer.Option(min=2, help="Held-out documents of each text.")] = 60,
    heal: Annotated[list[str] | None, typer.Option(help="Also heal on `medquad` or `meadow`; repeatable.")] = None,
    sweep: Annotated[bool, typer.Option(help="Also measure the best method at 10 to 90%.")] = True,
    device: OneDevice = None,
) -> None:
    """Measure all criteria side by side on one calibration sample, and print where ours stands."""
    from compressor.compare.grid import Plan
    from compressor.compare.run import run_comparison
    from compressor.distributed import Group, choose_device
    from compressor.job import open_job
    from compressor.progress import bars
    from compressor.recipe.load import load_recipe
    from models.resolve import resolve_checkpoint

    plan = Plan(parse_shares(shares), tuple(range(seeds)), tuple(heal or ()), sweep)
    loaded = load_recipe(recipe)
    folder = resolve_checkpoint(model)
    try:
        with bars() as reporter:
            group = Group(device=choose_device(device and device.value, 0))
            job = open_job(model, folder, loaded, out=out, data=data, reporter=reporter, group=group)
            comparison = run_comparison(job, plan, documents)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command to continue", err=True)
        raise typer.Exit(130) from None
    _show_comparison(comparison, out)


def _show_comparison(comparison: "Comparison", out: Path) -> None:
    """Write and print the tables. Raises typer.Exit(1) where a cell failed."""
    from rich.console import Console

    from compressor.compare.output import write_comparison
    from compressor.compare.terminal import print_summary

    print_summary(write_comparison(comparison), Console())
    typer.echo(f"tables and figures: {out / 'report'}", err=True)
    if comparison.left_out:
        typer.echo(f"cells left out: {len(comparison.left_out)}; their reasons are in {out / 'cells'}", err=True)
    if comparison.failed:
        typer.echo(f"cells that failed: {len(comparison.failed)}; their reasons are in {out / 'cells'}", err=True)
        raise typer.Exit(1)


def parse_shares(text: str) -> tuple[float, ...]:
    """`0.3,0.5` as numbers between 0 and 1. Raises typer.BadParameter."""
    try:
        shares = tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError as error:
        raise typer.BadParameter(f"--shares {text} is not numbers with commas, like 0.3,0.5,0.67") from error
    if not all(0 < share < 1 for share in shares):
        raise typer.BadParameter(f"--shares {text}: each must lie between 0 and 1, like 0.3,0.5,0.67")
    return shares


def report(run: Annotated[Path, typer.Argument(help="Folder of `bedside compress` or `compare`.")]) -> None:
    """Write and print the report of a finished run again; of a comparison, print its tables."""
    from rich.console import Console

    from compressor.compare.terminal import print_summary, read_summary
    from compressor.report.run import write_report
    from compressor.report.tables import build_report, print_table, read_manifest

    manifest = read_manifest(run)
    if "comparison" in manifest:
        print_summary(read_summary(run), Console())
        return
    write_report(run, manifest)
    print_table(build_report(run, manifest), Console())

"""`bedside device`: the board and its power meters. Imports happen inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Show the board and its power meters; measure and predict what answers cost on it.", add_completion=False
)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Sysroot = Annotated[
    Path | None,
    typer.Option(
        "--sysroot",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Look at the files of another machine below DIR: no program or device of this one.",
    ),
]
MeterPath = Annotated[
    Path | None,
    typer.Option("--meter", metavar="PATH", help="Your own meter at the supply, by its folder in /sys/class/hwmon."),
]
Jtop = Annotated[
    bool, typer.Option("--jtop", help="Try jtop as well: its service and its client disturb what they measure.")
]


@app.callback(invoke_without_command=True)
def device(
    context: typer.Context,
    as_json: AsJson = False,
    sysroot: Sysroot = None,
    meter: MeterPath = None,
    jtop: Jtop = False,
) -> None:
    """Show the board and its power meters: what is measured, what is not, and what mends it."""
    if context.invoked_subcommand is None:
        show_board(as_json=as_json, sysroot=sysroot, meter=meter, jtop=jtop)
    elif as_json or sysroot or meter or jtop:
        raise typer.BadParameter(f"options go behind the command: bedside device {context.invoked_subcommand} ...")


def show_board(
    *, as_json: bool = False, sysroot: Path | None = None, meter: Path | None = None, jtop: bool = False
) -> None:
    """What `bedside device` does without a further word."""
    from device import views
    from device.detect import survey
    from device.system import System

    found = survey(System(sysroot), meter, {"jtop"} if jtop else ())
    if as_json:
        views.print_json(found)
    else:
        views.print_survey(found)

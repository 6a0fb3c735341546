"""`bedside device`: the board and its power meters. Imports happen inside the command."""

from pathlib import Path
from typing import Annotated

import typer


def device(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    sysroot: Annotated[
        Path | None,
        typer.Option(
            "--sysroot",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Look at the files of another machine below DIR: no program or device of this one.",
        ),
    ] = None,
    meter: Annotated[
        Path | None,
        typer.Option(
            "--meter", metavar="PATH", help="Your own meter at the supply, by its folder in /sys/class/hwmon."
        ),
    ] = None,
    jtop: Annotated[
        bool, typer.Option("--jtop", help="Try jtop as well: its service and its client disturb what they measure.")
    ] = False,
) -> None:
    """Show the board and its power meters: what is measured, what is not, and what mends it."""
    from device import views
    from device.detect import survey
    from device.system import System

    found = survey(System(sysroot), meter, {"jtop"} if jtop else ())
    if as_json:
        views.print_json(found)
    else:
        views.print_survey(found)

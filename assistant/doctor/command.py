"""`bedside doctor`: arguments in, report out. Imports happen inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
_Model = Annotated[str, typer.Option(metavar="ID|FILE", help="The model that a start would take.")]
_Sysroot = Annotated[
    Path | None,
    typer.Option(
        "--sysroot",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Look at the files of another machine below DIR, and at nothing of this one.",
    ),
]


def doctor(as_json: _AsJson = False, model: _Model = "reference", sysroot: _Sysroot = None) -> None:
    """Check this machine: board, program, model, service, data, privacy; each line with what mends it.

    Exit code 0: all is well, or there are warnings only. 1: there is a fault.
    """
    from assistant.doctor.examine import examine
    from assistant.doctor.machine import Machine
    from assistant.doctor.views import print_json, print_report, report_facts, worst
    from device.system import System

    found = examine(Machine(System(sysroot), model))
    if as_json:
        print_json(report_facts(found))
    else:
        print_report(found)
    if worst(found) == "fault":
        raise typer.Exit(1)

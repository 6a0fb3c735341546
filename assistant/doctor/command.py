"""`bedside doctor`: arguments in, report out. Imports happen inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
_Model = Annotated[
    str | None,
    typer.Option(
        metavar="ID|FILE",
        help="Another model than the one that a start would take.  [default: what `bedside switch` chose, or reference]",
        show_default=False,
    ),
]
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

_Egress = Annotated[
    bool,
    typer.Option("--egress", help="Prove that nothing leaves: run the whole service in a network with a counter."),
]


def doctor(as_json: _AsJson = False, model: _Model = None, sysroot: _Sysroot = None, egress: _Egress = False) -> None:
    """Check this machine: board, program, model, service, data, privacy; each line with what mends it.

    Exit code 0: all is well, or there are warnings only; with --egress, it is proven. 1: there is a fault, or no proof.
    """
    if egress and sysroot is not None:
        raise typer.BadParameter("--egress runs the service here: leave --sysroot out")
    from assistant.served import read_choice

    chosen = model or read_choice().now.name
    if egress:
        _prove(chosen, as_json)
    else:
        _examine(as_json, chosen, sysroot)


def _prove(model: str, as_json: bool) -> None:
    from rich.console import Console

    from assistant.doctor.egress.outside import prove_no_egress
    from assistant.doctor.egress.wording import print_proof
    from assistant.doctor.views import print_json

    with Console(stderr=True, markup=False, highlight=False).status("leaving the network") as status:
        proof = prove_no_egress(model, status.update)
    if as_json:
        print_json(proof)
    else:
        print_proof(proof)
    if proof["verdict"] != "proven":
        raise typer.Exit(1)


def _examine(as_json: bool, model: str, sysroot: Path | None) -> None:
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

"""`bedside service`: install, status, uninstall, logs. Heavy imports happen inside the commands."""

import getpass
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import ServiceError

if TYPE_CHECKING:
    from assistant.service.plan import Machine, Plan

app = typer.Typer(
    help="Install, watch and remove Bedside as a system service.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show every file and command, and do nothing.")]
_Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="The files of an image below DIR instead of this machine: no command is run.",
        show_default=False,
    ),
]

_Model = Annotated[
    str | None,
    typer.Option(
        metavar="ID|FILE",
        help="One of the service's store, or a GGUF file, for good.  [default: what `bedside switch` chose, or reference]",
        show_default=False,
    ),
]


@app.command()
def install(
    model: _Model = None,
    port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Of 127.0.0.1, for clients with a key.")
    ] = 8080,
    dry_run: _DryRun = False,
    root: _Root = None,
    environment: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run this environment (DIR/bin/python) instead of the one that you call, as an image needs it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make Bedside start with this machine, in a sandbox without network, and answer on a socket and on loopback.

    What is there already stays as it is; if a step fails nothing is left of it.
    """
    from assistant.service.plan import installation, machine_at
    from assistant.service.reach import service_model, service_python
    from assistant.service.units import KEY_FILE, Choice
    from device.detect import board_kind
    from device.system import System

    machine = machine_at(root)
    _check_allowed(machine, dry_run, "install")
    python = service_python(machine, environment)
    choice = Choice(python, service_model(machine, model), port, board_kind(System(root)))
    plan = installation(machine, choice)
    if plan.is_empty:
        print("the service is installed, and nothing has changed")
        return
    _carry_out(plan, machine, dry_run)
    if not dry_run and root is None:
        print(f"the service runs; http://127.0.0.1:{port} wants the key in {KEY_FILE}")
        print("who is to use `bedside ask` and `bedside chat` with it: usermod -aG bedside NAME, then log in again")


@app.command()
def uninstall(
    dry_run: _DryRun = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Models, libraries and all else in /var/lib/bedside as well.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --purge.")] = False,
    root: _Root = None,
) -> None:
    """Stop the service and take it away, with its user and key; data stays unless --purge is given."""
    from assistant.service.plan import machine_at, removal
    from assistant.service.units import DATA_FOLDER

    machine = machine_at(root)
    _check_allowed(machine, dry_run, "uninstall")
    plan = removal(machine, purge=purge)
    if plan.is_empty:
        print("the service is not installed")
        return
    if purge and not (yes or dry_run):
        typer.confirm(f"Remove all of {machine.path(DATA_FOLDER)}, models and libraries included?", abort=True)
    _carry_out(plan, machine, dry_run)
    if not dry_run and machine.path(DATA_FOLDER).exists():
        print(f"removed; {machine.path(DATA_FOLDER)} is left, which --purge removes as well")


@app.command()
def status() -> None:
    """Show whether the service runs and is ready, and whether you may use it. Exit 1 where it does not answer."""
    from assistant.client.connection import Connection
    from assistant.client.sockets import SERVICE_SOCKET, answers
    from assistant.service.manager import service_facts
    from assistant.service.views import status_lines

    facts = service_facts()
    if facts["LoadState"] != "loaded":
        raise ServiceError("the service is not installed; run as root: bedside service install")
    for line in status_lines(facts):
        print(line)
    may_use = os.access(SERVICE_SOCKET, os.W_OK)
    told = (
        "may be used by you" if may_use else f"not by you: usermod -aG bedside {getpass.getuser()}, then log in again"
    )
    print(f"socket     {SERVICE_SOCKET}, {told}")
    sys.stdout.flush()
    if facts["ActiveState"] != "active":  # a look at the socket would start it
        raise ServiceError(
            "the service does not run; see bedside service logs, then: systemctl restart bedside.service"
        )
    if may_use and answers(SERVICE_SOCKET):
        with Connection("http://bedside", SERVICE_SOCKET) as server:
            if not server.is_ready():
                raise ServiceError("the service runs and does not answer; see bedside service logs")
            print(f"answers    as {server.model()}")


@app.command()
def logs(
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=1, help="The newest.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="And those to come.")] = False,
) -> None:
    """Show what the service has written: no text of any question or answer is in it."""
    from assistant.service.units import SERVICE, SOCKET

    command = ["journalctl", "--no-pager", f"--lines={lines}", f"--unit={SERVICE}", f"--unit={SOCKET}"]
    try:
        done = subprocess.run([*command, *(["--follow"] if follow else [])], check=False)
    except FileNotFoundError as error:
        raise ServiceError("journalctl is not on this machine; the service needs systemd") from error
    if done.returncode:
        raise typer.Exit(1)


def _check_allowed(machine: "Machine", dry_run: bool, what: str) -> None:
    if dry_run or machine.is_image:
        return
    if not Path("/run/systemd/system").is_dir():
        raise ServiceError("systemd does not run here; give --root DIR to work on the files of an image")
    if os.geteuid() != 0:
        command = f"{Path(sys.executable).parent / 'bedside'} service {what}"
        raise ServiceError(f"this needs root; run sudo {command}, or add --dry-run to see what it does")


def _carry_out(plan: "Plan", machine: "Machine", dry_run: bool) -> None:
    from assistant.service.carrying_out import carry_out
    from assistant.service.views import plan_lines
    from models.disk import ended_by_sigterm_too

    if dry_run:
        for line in plan_lines(plan):
            print(line)
        return
    with ended_by_sigterm_too():
        carry_out(plan, machine)

"""`bedside redflags`: the screen alone, in this process, without a model or a server."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from models.errors import TextError

_STANDARD_INPUT = "-"
_MOST_BYTES = 16 * 2**20


def redflags(
    text: Annotated[str, typer.Argument(metavar="TEXT|-", help="A note, or - for standard input.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    contacts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Your numbers for a patient at risk of self-harm.  [default: crisis-contacts.toml in the data folder]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the red flags of a note, by fixed rules with their sources. For clinicians; finding none excludes nothing."""
    from assistant.safety.contacts import read_contacts
    from assistant.safety.fields import red_flag_fields
    from assistant.safety.screen import screen

    note = _read() if text == _STANDARD_INPUT else text
    if not note.strip():
        raise typer.BadParameter("the text is empty; write it in quotes", param_hint="TEXT")
    flags = red_flag_fields(screen([note], read_contacts(contacts)))
    if as_json:
        print(json.dumps(flags))  # ASCII: right in any locale
        return
    from rich.console import Console
    from rich.text import Text

    from assistant.safety.views import Line, finding_lines, status, wrapped

    console = Console(soft_wrap=True, markup=False, highlight=False)
    width = console.width if console.is_terminal else None
    for line in [*finding_lines(flags, [("", note)]), Line(f"Red flags: {status(flags)}", indent="           ")]:
        for each in wrapped(line, width):
            console.print(Text(each, style=line.style))


def _read() -> str:
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise TextError(f"standard input holds more than {_MOST_BYTES // 2**20} MiB; give the note alone")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"standard input is not UTF-8 text (byte {error.start}); save it as UTF-8") from error

"""`bedside chat`: arguments in, terminal out."""

import os
import sys
from typing import Annotated, Literal

import typer

from assistant.errors import ServerError


def chat(  # noqa: PLR0917  (Typer makes an option of each)
    model: Annotated[
        str | None,
        typer.Option(
            metavar="ID|FILE",
            help="A model of the catalogue or your store, or a GGUF file.  [default: that of the running server]",
            show_default=False,
        ),
    ] = None,
    knowledge: Annotated[
        str, typer.Option(metavar="on|off|LIBRARY", help="Answer from passages of the library, or without.")
    ] = "on",
    url: Annotated[
        str | None,
        typer.Option(help="Ask the server there instead of one on this machine's sockets.", show_default=False),
    ] = None,
    incognito: Annotated[bool, typer.Option("--incognito", help="Let nothing touch the disk.")] = False,
    lock_after: Annotated[
        float, typer.Option(metavar="MINUTES", min=0.1, max=60, help="Lock, or wipe, after so long without a key.")
    ] = 5.0,
    theme: Annotated[
        Literal["dark", "light", "contrast"], typer.Option(help="Colours.", envvar="BEDSIDE_THEME")
    ] = "dark",
) -> None:
    """Ask in a full-screen terminal: answers with their passages, checks and red flags. Not for patients."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ServerError("bedside chat needs a terminal; for scripts and pipes there is `bedside ask`")
    os.environ.setdefault("TEXTUAL_FPS", "120")  # a key waits half as long for its echo; nothing is drawn without need
    from assistant.history.place import history_folder
    from assistant.tui.app import ChatApp
    from assistant.tui.link import Link
    from assistant.tui.privacy import Privacy
    from assistant.tui.themes import BY_NAME

    privacy = Privacy(history_folder(), incognito=incognito)
    app = ChatApp(Link(url, model), knowledge, privacy, BY_NAME[theme], lock_after * 60)
    app.run()
    if app.return_code:
        raise typer.Exit(app.return_code)

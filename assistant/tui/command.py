"""`bedside chat`: arguments in, terminal out."""

import os
import sys
from typing import Annotated, Literal

import typer

from assistant.client.options import KnowledgeChoice, Model, Url
from assistant.errors import ServerError
from assistant.tui.echo import unseen


def chat(  # noqa: PLR0917  (Typer makes an option of each)
    model: Model = None,
    knowledge: KnowledgeChoice = "on",
    url: Url = None,
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
    with unseen():  # before what takes its time to load: somebody may be typing a passphrase already
        code = _run(model, knowledge, url, incognito, lock_after * 60, theme)
    if code:
        raise typer.Exit(code)


def _run(model: str | None, knowledge: str, url: str | None, incognito: bool, lock_s: float, theme: str) -> int:  # noqa: PLR0917
    """The terminal from its start to its end; its exit code."""
    os.environ.setdefault("TEXTUAL_FPS", "120")  # a key waits half as long for its echo; nothing is drawn without need
    from assistant.history.place import history_folder
    from assistant.tui.app import ChatApp
    from assistant.tui.link import Link
    from assistant.tui.privacy import Privacy
    from assistant.tui.themes import BY_NAME

    privacy = Privacy(history_folder(), incognito=incognito)
    app = ChatApp(Link(url, model), knowledge, privacy, BY_NAME[theme], lock_s)
    app.run()
    return app.return_code or 0

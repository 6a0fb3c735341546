"""`bedside switch`: told step by step by the server that does it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import ServerError
from assistant.plaintext import plain_line

if TYPE_CHECKING:
    from assistant.client.connection import Connection


def switch(
    model: Annotated[
        str | None, typer.Argument(help="A model of the server's store, or a GGUF file that it may read.")
    ] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the model that was served before.")] = False,
    socket: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The server's socket.  [default: the service's]", show_default=False),
    ] = None,
) -> None:
    """Change the model of the running service: it is checked, loaded and tested, and the old one comes back where that fails.

    Answers that run may finish; requests that come meanwhile are told to try again.
    """
    if (model is None) != rollback:
        raise typer.BadParameter("name a model, or give --rollback for the one before")
    from assistant.client.connection import Connection
    from assistant.client.sockets import SERVICE_SOCKET, answers, user_socket

    path = socket or (SERVICE_SOCKET if answers(SERVICE_SOCKET) else user_socket())
    with Connection("http://bedside", path) as server:
        now, before = _follow(server, path, None if model is None else _named(model))
    typer.echo(f"serving {plain_line(now)} in place of {plain_line(before)}; `bedside switch --rollback` goes back")


def _follow(server: "Connection", path: Path, model: str | None) -> tuple[str, str]:
    """What is served now, and what was before."""
    begun = False
    try:
        for news in server.switch(model):
            if "model" in news:
                return str(news["model"]), str(news["before"])
            begun = True
            print(plain_line(str(news.get("step"))), file=sys.stderr)
    except ServerError as error:
        if not begun or error.__cause__ is None:  # a refusal in its own words
            raise
        raise ServerError(
            "the server has ended before the change was done; started again it serves the model before: see its log"
        ) from error
    raise ServerError(f"the server at {path} does not say what it serves now; see `bedside ask --json`")


def _named(model: str) -> str:
    """The server has another working folder; an id stays as it is."""
    return str(Path(model).absolute()) if "/" in model or model.endswith(".gguf") else model

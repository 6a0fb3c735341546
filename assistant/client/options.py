"""The options of `bedside ask` and `bedside chat` about whom they ask, and from which passages."""

from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        metavar="ID|FILE",
        help="A model of the catalogue or your store, or a GGUF file.  [default: that of the running server]",
        show_default=False,
    ),
]
KnowledgeChoice = Annotated[
    str, typer.Option(metavar="on|off|LIBRARY", help="Answer from passages of the library, or without.")
]
Url = Annotated[
    str | None, typer.Option(help="Ask the server there instead of one on this machine's sockets.", show_default=False)
]

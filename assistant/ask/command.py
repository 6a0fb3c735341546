"""`bedside ask`: arguments in, answer out."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.client.options import KnowledgeChoice, Model, Url
from assistant.errors import NoteError
from assistant.plaintext import plain

if TYPE_CHECKING:
    from assistant.ask.asking import Flagged, Piece
    from assistant.ask.terminal import Screen
    from assistant.client.answer import Answer


def ask(  # noqa: PLR0917  (Typer makes an option of each)
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    model: Model = None,
    knowledge: KnowledgeChoice = "on",
    note: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="The patient's context: a text file, or - for standard input."),
    ] = None,
    url: Url = None,
) -> None:
    """Answer a clinician's question from the library, with numbered sources. Not for patients."""
    question = _checked(text)
    if note is not None and not note:
        raise NoteError("--note has no file name; give a path or - for standard input")
    from assistant.ask.asking import Question, ask_server
    from assistant.ask.note import read_note
    from assistant.ask.terminal import Screen

    patient_note = None if note is None else read_note(note)
    with closing(Screen()) as screen:
        _show(screen, ask_server(Question(question, knowledge, patient_note, model, url), screen.phase), as_json)


def _checked(text: str) -> str:
    question = plain(text).strip()
    if not question:
        raise typer.BadParameter("the question is empty; write it in quotes", param_hint="TEXT")
    if "\ufffd" in question and "\ufffd" not in text:
        raise typer.BadParameter("the question is not UTF-8 text; check the terminal's encoding", param_hint="TEXT")
    return question


def _show(screen: "Screen", events: "Iterator[Flagged | Piece | Answer]", as_json: bool) -> None:
    from assistant.ask.asking import Flagged, Piece

    for event in events:
        if isinstance(event, Flagged):
            if not as_json:
                screen.flagged(event.lines)
        elif isinstance(event, Piece):
            if not as_json:
                screen.piece(event.text)
        elif as_json:
            screen.close()
            print(json.dumps(event.as_json()))  # ASCII: right in any locale
        else:
            screen.answer(event)

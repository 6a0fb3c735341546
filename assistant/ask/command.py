"""`bedside ask`: arguments in, answer out."""

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import NoteError
from assistant.plaintext import plain

if TYPE_CHECKING:
    from assistant.ask.answer import Answer
    from assistant.ask.asking import Phase, Piece

_STOP_TIMEOUT_S = 0.8
_ERROR, _INTERRUPTED = 1, 130


def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    model: Annotated[
        str, typer.Option(metavar="ID|FILE", help="A model of the catalogue or your store, or a GGUF file.")
    ] = "reference",
    knowledge: Annotated[
        str, typer.Option(metavar="on|off|LIBRARY", help="Answer from passages of the library, or without.")
    ] = "on",
    note: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="The patient's context: a text file, or - for standard input."),
    ] = None,
) -> None:
    """Answer a question from the library, with numbered sources."""
    question = plain(text).strip()
    if not question:
        raise typer.BadParameter("the question is empty; write it in quotes", param_hint="TEXT")
    if "\ufffd" in question and "\ufffd" not in text:
        raise typer.BadParameter("the question is not UTF-8 text; check the terminal's encoding", param_hint="TEXT")
    if note is not None and not note:
        raise NoteError("--note has no file name; give a path or - for standard input")
    _run(question, as_json, model, knowledge, note)


def _run(question: str, as_json: bool, model: str, knowledge: str, note: str | None) -> None:
    from assistant.ask.asking import Asking, Question
    from assistant.ask.model_choice import choose_model
    from assistant.ask.note import read_note
    from assistant.engine.job import Job
    from assistant.knowledge.index import Index
    from assistant.knowledge.library import STARTER, open_library

    library = {"on": STARTER, "off": None}.get(knowledge, knowledge)
    index = None if library is None else Index(open_library(library))
    patient_note = None if note is None else read_note(note)
    asking = Asking(Question(question, choose_model(model), index, patient_note))
    job = Job(asking.events(), asking.abort)
    try:
        _show(job, as_json)
    except BaseException as error:
        if not job.stop(_STOP_TIMEOUT_S):
            # The thread is inside llama.cpp, loading; ending the interpreter under it could crash.
            os._exit(_INTERRUPTED if isinstance(error, KeyboardInterrupt) else _ERROR)
        raise


def _show(events: "Iterator[Phase | Piece | Answer]", as_json: bool) -> None:
    from assistant.ask.answer import Answer
    from assistant.ask.asking import Phase, Piece
    from assistant.ask.terminal import Screen

    screen = Screen()
    try:
        for event in events:
            if isinstance(event, Phase):
                screen.phase(event.text)
            elif isinstance(event, Answer) and as_json:
                print(json.dumps(event.as_json()))  # ASCII: right in any locale
            elif isinstance(event, Answer):
                screen.answer(event)
            elif isinstance(event, Piece) and not as_json:
                screen.piece(event.text)
    finally:
        screen.close()

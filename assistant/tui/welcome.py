"""The first thing that is seen, and the words that explain the keys."""

from urllib.parse import urlsplit

from assistant.client.answer import INTENDED_USE
from assistant.plaintext import plain_line
from assistant.tui.markdown import Line, Run
from assistant.tui.wrapping import Row, wrap
from models.builtin import REFERENCE_ID

_BETTER = (
    "`bedside device plan` says which models this board can run, `bedside models` fetches them, and Ctrl+P “model” "
    "switches to one."
)
_WELCOME: tuple[tuple[str, str], ...] = (
    ("Bedside", "who"),
    (f"A medical assistant, {INTENDED_USE}. {{where}}", ""),
    ("", ""),
    (
        "Answers quote passages of a library. [1] opens the passage; what the passages do not support is marked ‹!…›.",
        "",
    ),
    ("Red flags are found by fixed rules and stand above the answer. Finding none excludes nothing.", ""),
    ("", ""),
    (f"The built-in {REFERENCE_ID} model shows how Bedside works: it is not for clinical use. {_BETTER}", ""),
    ("", ""),
    ("Enter asks · Ctrl+J new line · Esc stops · Ctrl+P everything else · F1 help", "dim"),
)


def welcome_rows(width: int, url: str | None) -> list[Row]:
    """Short and honest; `url` is the server that was named, which may be another machine's."""
    where = "It runs here, and nothing you write leaves this machine."
    if url is not None:
        where = f"What you write goes to the server at {plain_line(_host(url))}."
    rows: list[Row] = []
    for text, style in _WELCOME:
        rows += wrap(Line(0, 0, (Run(text.format(where=where), style),)), width)
    return rows


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:  # no address: asking will tell
        return url


HELP: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Writing",
        (
            ("Enter", "ask"),
            ("Ctrl+J, Alt+Enter", "new line"),
            ("Up, Down", "earlier questions, at the first and last line"),
            ("F2", "the text becomes the patient's note, and back"),
            ("paste", "never sends; a long text is the patient's note"),
            ("Esc", "stops the answer at once; closes what is open"),
        ),
    ),
    (
        "Anywhere",
        (
            ("Ctrl+P", "all commands by name: models, libraries, …"),
            ("Ctrl+O", "open the next passage of the answer"),
            ("Ctrl+R", "answer again"),
            ("F3", "back to the question: edit and ask again"),
            ("Ctrl+Y", "copy the answer (OSC 52: some terminals refuse)"),
            ("Ctrl+N", "new conversation"),
            ("Ctrl+G", "history: list, search, export, delete"),
            ("Ctrl+L", "lock"),
            ("Ctrl+T", "dark, light, high contrast"),
            ("PgUp, PgDn", "scroll; the view follows only at the end"),
            ("Tab", "to the conversation, to the passage, and back"),
            ("Ctrl+C", "copy what is selected, else stop the answer"),
            ("F1", "this help"),
            ("Ctrl+Q", "quit"),
        ),
    ),
    (
        "In the conversation",
        (
            ("1 to 9", "open that passage"),
            ("n, p", "choose the next turn, or the one before"),
            ("c, o", "copy the answer, or its code"),
            ("r, e", "answer again, or edit the question"),
            ("Left, Right", "other versions of the turn"),
            ("d", "what the answer was made with, or less of it"),
            ("v", "show the whole note, or less of it"),
            ("j, k, Space, b, g, G", "scroll"),
        ),
    ),
    (
        "The last line",
        (
            ("tok/s", "tokens a second; ≈ while they are being written"),
            ("first", "seconds until its first token"),
            ("ctx", "tokens of the conversation, and the room for them"),
            ("W, tok/s/W", "power and what it gives, or “not measured”"),
        ),
    ),
    (
        "Privacy",
        (
            ("memory only", "gone at the end; Ctrl+P “passphrase” keeps them"),
            ("saved", "encrypted; the recovery code asks for its end"),
            ("incognito", "Ctrl+P “incognito”: nothing touches the disk"),
            ("idle", "after 5 minutes locked, or wiped: no passphrase"),
        ),
    ),
)

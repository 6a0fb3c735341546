"""What `bedside history` prints: text for people, from a database that anybody may have written into."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.history.audit import Event
from assistant.history.conversation import Conversation, Hit, Message, branch, local
from assistant.history.details import doubtful, entries, evidence, red_flags, source_line
from assistant.history.json_form import summary_fields
from assistant.plaintext import plain, plain_line

ID_LENGTH = 8  # so many characters of an id are shown; any that are enough to tell one from the others name it
_MAX_WIDTH = 100
_TIME_LENGTH = len("2026-11-22 12:30")
_UNCOUNTED = ("created", "opened", "passphrase changed", "recovered", "restored")
_ENDINGS = {"stopped": ", stopped", "failed": ", failed", "writing": ", being written"}


def print_conversations(conversations: Sequence[Conversation]) -> None:
    """One line each, the last changed first."""
    if not conversations:
        print("no conversation")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in (("Id", ID_LENGTH), ("Last message", _TIME_LENGTH), ("Title", None), ("Tags", None)):
        table.add_column(heading, no_wrap=width is not None, min_width=width, overflow="fold")
    for each in conversations:
        tags = plain_line(", ".join(each.tags))
        table.add_row(each.id[:ID_LENGTH], _minute(each.changed_at), Text(plain_line(each.title)), Text(tags))
    _console().print(table)


def print_conversation(conversation: Conversation, messages: Sequence[Message]) -> None:
    """The branch that is shown, as it was asked and answered."""
    console = _console()
    console.print(Text(plain_line(conversation.title), style="bold"))
    shown = branch(messages, conversation.tip)
    tags = f"; tags: {', '.join(conversation.tags)}" if conversation.tags else ""
    console.print(Text(plain_line(f"{conversation.id}, begun {_minute(conversation.started_at)}{tags}")))
    for message in shown:
        console.print()
        for line in _message_lines(message):
            console.print(line)
    if hidden := len(messages) - len(shown):
        console.print(f"\nMessages in other branches: {hidden} (--json has them)")


def _message_lines(message: Message) -> Iterator[Text]:
    who = "Question" if message.role == "user" else "Answer"
    yield Text(f"{who}, {_minute(message.written_at)}{_ENDINGS.get(message.state, '')}", style="bold")
    yield Text(plain(message.text))
    for finding in red_flags(message):
        yield Text(plain_line(f"Red flag: {finding}"), style="bold red")
    for sentence, verdict in doubtful(message):
        yield Text(plain_line(f"{verdict}: {sentence}"), style="yellow")
    for source in entries(message.details, "sources"):
        yield Text(plain_line(source_line(source)))
    said = [evidence(message), *(str(message.details.get(name) or "") for name in ("model", "notice"))]
    if any(said):
        yield Text(plain_line(" · ".join(filter(None, said))), style="dim")


def hit_fields(hit: Hit) -> dict[str, Any]:
    """A hit as `--json` has it."""
    marked = [list(span) for span in hit.marked]
    return {
        "conversation": summary_fields(hit.conversation),
        "message_id": hit.message_id,
        "snippet": hit.snippet,
        "marked": marked,
    }


def print_hits(hits: Sequence[Hit]) -> None:
    """Where each was found, and the words around it."""
    if not hits:
        print("nothing found")
    console = _console()
    for hit in hits:
        found = hit.conversation
        head = f"{found.id[:ID_LENGTH]}  {_minute(found.changed_at)}  {plain_line(found.title)}"
        snippet = Text(hit.snippet)
        for start, end in hit.marked:
            snippet.stylize("bold", start, end)
        console.print(Text(head))
        console.print(Text("    ").append_text(snippet))


def print_events(events: Sequence[Event]) -> None:
    """One line each, the newest first."""
    for event in events:
        count = "" if event.what in _UNCOUNTED else f": {event.count:,}"
        print(f"{_minute(event.at)}  {event.what}{count}")


def print_code(code: str) -> None:
    """The recovery code, which cannot be shown again."""
    print(f"\n    {code}\n")
    text = (
        "This is the recovery code: write it down now and keep it away from this device. It is shown this once and kept "
        "nowhere. It opens the history where the passphrase is forgotten; without both, nobody can read it again."
    )
    print(textwrap.fill(text, 80))


def _console() -> Console:
    console = Console(markup=False, highlight=False)
    return Console(
        markup=False, highlight=False, width=min(console.width, _MAX_WIDTH), soft_wrap=not console.is_terminal
    )


def _minute(time: datetime) -> str:
    """In this machine's time zone."""
    return f"{local(time):%Y-%m-%d %H:%M}"

"""`bedside history`: list, read, search, take out and bring in, remove; the passphrase. Heavy imports happen inside."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from assistant.errors import HistoryError
from assistant.history.conversation import MAX_DAYS, counted
from assistant.history.key_commands import AsJson, PassphraseFile, passphrase, recover, status
from assistant.plaintext import plain_line

if TYPE_CHECKING:
    from assistant.history.store import History

app = typer.Typer(
    help="Your conversations on this machine, encrypted: read, search, export, remove them; set the passphrase.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_Id = Annotated[str, typer.Argument(metavar="ID", help="A conversation, as `list` names it.", show_default=False)]
_Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
_Sysroot = Annotated[
    Path,
    typer.Option(
        "--sysroot", metavar="DIR", exists=True, file_okay=False, help="Below which the clock's state is read."
    ),
]


@app.command("list")
def list_conversations(
    tag: Annotated[
        str | None, typer.Option(metavar="TAG", help="Only those with this tag.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show the conversations, the last changed first."""
    from assistant.history.json_form import summary_fields
    from assistant.history.views import print_conversations

    with _opened(passphrase_file) as history:
        found = history.conversations(count, tag)
    if as_json:
        print(json.dumps({"conversations": [summary_fields(each) for each in found]}))
    else:
        print_conversations(found)


@app.command()
def show(conversation: _Id, as_json: AsJson = False, passphrase_file: PassphraseFile = None) -> None:
    """Show a conversation.

    The branch that was shown last; with --json all of it.
    """
    from assistant.history.json_form import conversation_fields
    from assistant.history.views import print_conversation

    with _opened(passphrase_file) as history:
        found = history.conversation(_whole_id(history, conversation))
        messages = history.messages(found.id)
    if as_json:
        print(json.dumps(conversation_fields(found, messages)))
    else:
        print_conversation(found, messages)


@app.command()
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='Words, or a "phrase".', show_default=False)],
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="At most so many.")] = 20,
    as_json: AsJson = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Find titles and messages by their words.

    The best come first. The last word may be the beginning of one; "words in quotes" are found as they stand.
    """
    from assistant.history.views import hit_fields, print_hits

    with _opened(passphrase_file) as history:
        hits = history.search(text, count)
    if as_json:
        print(json.dumps({"query": text, "hits": [hit_fields(hit) for hit in hits]}))
    else:
        print_hits(hits)


@app.command()
def tag(
    conversation: _Id,
    tags: Annotated[list[str] | None, typer.Argument(metavar="TAG", show_default=False)] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TITLE", help="Another title as well.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Give a conversation tags, and a title.

    The tags take the place of those that it has: a patient's pseudonym, for instance. They are encrypted like the rest.
    An empty tag ("") takes all of them away.
    """
    if not tags and title is None:
        raise typer.BadParameter('give tags, or --title; "" takes the tags away', param_hint="TAG")
    with _opened(passphrase_file) as history:
        whole_id = _whole_id(history, conversation)
        history.label(whole_id, title, tags or None)


@app.command()
def export(  # noqa: PLR0917  (Typer makes an option of each)
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Into this file.", show_default=False)],
    conversations: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Conversations, as `list` names them.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All conversations.")] = False,
    form: Annotated[
        Literal["md", "json"], typer.Option("--format", help="Markdown for reading, JSON to be imported again.")
    ] = "md",
    redact: Annotated[
        bool, typer.Option("--redact", help="Replace dates, names after titles, numbers, addresses by what they are.")
    ] = False,
    force: _Force = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write conversations to a file that is not encrypted.

    With model and its hash, sources, checks and times. An answer's sources and times stay where identifiers are replaced.
    """
    from assistant.history.exporting import export as write
    from assistant.history.redaction import LIMITS

    if every == bool(conversations):
        raise typer.BadParameter("name conversations, or give --all", param_hint="ID")
    with _opened(passphrase_file) as history:
        ids = None if every else [_whole_id(history, each) for each in conversations or ()]
        written = write(history, ids, out, form, redacted=redact, force=force)
    print(f"{counted(written)} in {plain_line(str(out))}, which is not encrypted")
    if redact:
        print(LIMITS)


@app.command("import")
def import_conversations(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON export.", show_default=False)],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Take in conversations from a JSON export.

    Those that are here already stay as they are, and get what they lack.
    """
    from assistant.history.exporting import import_file

    with _opened(passphrase_file) as history:
        taken = import_file(history, file)
    messages = f"{taken.messages:,} message{'' if taken.messages == 1 else 's'}"
    print(f"new: {counted(taken.conversations)}, {messages}")


@app.command()
def remove(conversation: _Id, passphrase_file: PassphraseFile = None) -> None:
    """Remove a conversation for good."""
    with _opened(passphrase_file) as history:
        found = history.conversation(_whole_id(history, conversation))
        history.remove(found.id)
    print(f"removed: {plain_line(found.title)}")


@app.command()
def purge(
    older_than: Annotated[
        int | None,
        typer.Option("--older-than", metavar="DAYS", min=0, max=MAX_DAYS, help="Without a message in so many days."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All conversations.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    sysroot: _Sysroot = Path("/"),
    passphrase_file: PassphraseFile = None,
) -> None:
    """Remove old conversations, or all, for good.

    Histories that were kept aside go too; backups and exports elsewhere stay. Never by age while the clock may be wrong.
    """
    if every == (older_than is not None):
        raise typer.BadParameter("give --older-than DAYS or --all", param_hint="--older-than")
    with _opened(passphrase_file) as history:
        what = "all conversations" if every else f"conversations without a message in {older_than} days"
        _confirm(f"Remove {what} for good?", yes)
        purged = history.purge(older_than, sysroot)
    print(f"removed for good: {counted(purged.conversations)}")
    if not purged.is_compact:
        raise HistoryError(
            "their text is overwritten, but the file could not be made anew, since another terminal reads it or the disk "
            "is full: mend that, and purge again"
        )


@app.command()
def retention(
    days: Annotated[
        str, typer.Argument(metavar="DAYS|off", help="How long to keep conversations.", show_default=False)
    ] = "",
    sysroot: _Sysroot = Path("/"),
    passphrase_file: PassphraseFile = None,
) -> None:
    """Keep conversations for so many days only.

    They count from the last message. Without DAYS it shows and applies what is set. Never while the clock may be wrong.
    """
    wanted = _days(days) if days not in ("", "off") else None
    with _opened(passphrase_file) as history:
        if days:
            history.set_retention(wanted)
        kept_days = history.retention_days
        removed, reason = history.apply_retention(sysroot)
    print("kept for ever" if kept_days is None else f"kept {kept_days} days after the last message")
    if reason is not None:
        print(f"nothing was removed now: {reason}")
    elif removed:
        print(f"removed for good: {counted(removed)}")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Into this file.", show_default=False)],
    force: _Force = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write everything into one encrypted file.

    It opens with the passphrase and the recovery code of today, whatever they become later.
    """
    from assistant.history.backup import back_up
    from assistant.history.place import history_folder

    with _opened(passphrase_file) as history:
        back_up(history, history_folder(), file, force=force)
    print(f"backed up to {plain_line(str(file))}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace the history that is here; it is kept aside.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Put the history of a backup in place.

    It is checked as a whole before anything is replaced. Asks for the backup's passphrase or its recovery code.
    """
    from assistant.history.backup import restore as put_back
    from assistant.history.entry import ask_passphrase
    from assistant.history.place import history_folder

    secret = ask_passphrase("Passphrase or recovery code of the backup: ", passphrase_file, "--passphrase-file")
    aside = put_back(history_folder(), file, secret, force=force)
    print(f"restored to {history_folder()}")
    if aside is not None:
        print(f"the former history is in {aside}; `bedside history purge` removes it too")


@app.command()
def audit(
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show what was done with the history, and when.

    The newest comes first; counts, never text.
    """
    from assistant.history.views import print_events

    with _opened(passphrase_file) as history:
        events = history.events(count)
    if as_json:
        rows = [{"at": event.at.isoformat(), "what": event.what, "count": event.count} for event in events]
        print(json.dumps({"events": rows}))
    else:
        print_events(events)


app.command()(passphrase)
app.command()(recover)
app.command()(status)


@contextmanager
def _opened(passphrase_file: Path | None) -> Iterator["History"]:
    """The history, unlocked by what the file says or by what is typed."""
    from assistant.history.entry import ask_passphrase
    from assistant.history.place import history_folder
    from assistant.history.store import History
    from assistant.history.vault import Vault

    vault = Vault(history_folder())
    vault.require()
    key = vault.unlock(ask_passphrase("Passphrase: ", passphrase_file, "--passphrase-file"))
    with closing(History.open(vault.folder, key)) as history:
        yield history


def _whole_id(history: "History", written: str) -> str:
    """The conversation whose id begins so. Raises HistoryError where there is none, or more than one."""
    found = [each.id for each in history.conversations(limit=-1) if each.id.startswith(written.lower())]
    if len(found) != 1 or not written:
        many = f"{len(found)} conversations begin" if found and written else "no conversation begins"
        raise HistoryError(f"{many} with {plain_line(written)!r}; see bedside history list")
    return found[0]


def _days(written: str) -> int:
    if not (written.isascii() and written.isdigit() and 1 <= int(written[:9]) <= MAX_DAYS):
        raise typer.BadParameter(f"give 1 to {MAX_DAYS} days, or off", param_hint="DAYS")
    return int(written)


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise HistoryError("there is no terminal to ask on; give --yes")
    typer.confirm(question, abort=True)

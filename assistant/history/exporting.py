"""Taking conversations out of the history into a file that is not encrypted, and bringing such a file back in."""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from assistant.errors import HistoryError
from assistant.history.clock import MACHINE, clock_state
from assistant.history.conversation import MAX_TAG, MAX_TITLE, Conversation, Message, now
from assistant.history.json_form import (
    MAX_FILE_BYTES,
    FaultyDocumentError,
    Found,
    document_of,
    read_document,
    refuse_times_after,
)
from assistant.history.markdown_form import page
from assistant.history.redaction import LIMITS, Place, identifiers, moved, redact, replaced
from assistant.history.store import History, Taken
from models.disk import write_atomically

_AHEAD = timedelta(days=1)  # another machine's clock may be ahead of this one
Form = Literal["md", "json"]
NOTICE = (
    "This file is not encrypted. Answers are a model's, for clinicians, not for patients: check them at their sources."
)


def export(history: History, ids: Sequence[str] | None, path: Path, form: Form, *, redacted: bool, force: bool) -> int:
    """Write conversations, or all of them (None), to a file that only its owner may read: how many.

    Raises:
        HistoryError: no such conversation, or the file exists and `force` is not given.
        StorageError: the file cannot be written; there is none then, or the former one.
    """
    refuse_to_overwrite(path, force)
    ids = [each.id for each in history.conversations(limit=-1)] if ids is None else ids
    found: list[Found] = [(history.conversation(each), history.messages(each)) for each in ids]
    if redacted:
        found = [_redacted(conversation, messages) for conversation, messages in found]
    write_atomically(path, _rendered(found, form, redacted).encode(), mode=0o600)
    history.record("exported", len(found))
    return len(found)


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise HistoryError where there is something at `path`, unless it may be replaced."""
    if path.is_dir():
        raise HistoryError(f"{path} is a folder; name a file in it")
    if not force and os.path.lexists(path):
        raise HistoryError(f"{path} exists already; choose another name, or replace it with --force")


def _rendered(found: Sequence[Found], form: Form, redacted: bool) -> str:
    provenance = {
        "exported_at": now().isoformat(timespec="seconds"),
        "program": f"bedside {version('bedside')}",
        "notice": NOTICE,
        "redaction": LIMITS if redacted else None,
    }
    if form == "json":
        return json.dumps(document_of(found, provenance), indent=1) + "\n"
    exported = f"Exported by {provenance['program']} at {provenance['exported_at']}. {NOTICE}"
    return page(found, [exported, LIMITS] if redacted else [exported])


def _redacted(conversation: Conversation, messages: Sequence[Message]) -> Found:
    """A word that stands for another may be longer: what is cut fits where it is brought in again."""
    title, tags = redact(conversation.title)[:MAX_TITLE], tuple(redact(tag)[:MAX_TAG] for tag in conversation.tags)
    renamed = replace(conversation, title=title, tags=tags)
    return renamed, [_redacted_message(message) for message in messages]


def _redacted_message(message: Message) -> Message:
    """What came with an answer stays, less the places in other texts: sources are public, and have dates of their own."""
    spans = identifiers(message.text)
    place = moved(spans)
    details = dict(message.details) if message.role == "assistant" else _redacted_values(message.details)
    if isinstance(details.get("checks"), list):
        details["checks"] = [_moved_check(check, place) for check in details["checks"] if isinstance(check, dict)]
    if isinstance(details.get("red_flags"), dict):
        details["red_flags"] = _without_places(details["red_flags"])
    return replace(message, text=replaced(message.text, spans), details=details)


def _redacted_values(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted_values(each) for each in value]
    return {name: _redacted_values(each) for name, each in value.items()} if isinstance(value, dict) else value


def _moved_check(check: dict[str, Any], place: Place) -> dict[str, Any]:
    return check | {name: place(check[name]) for name in ("start", "end") if type(check.get(name)) is int}


def _without_places(flags: dict[str, Any]) -> dict[str, Any]:
    findings = flags.get("findings")
    kept = [
        {name: value for name, value in finding.items() if name not in ("start", "end", "message", "places")}
        for finding in (findings if isinstance(findings, list) else ())
        if isinstance(finding, dict)
    ]
    return flags | {"findings": kept}


def import_file(history: History, path: Path, root: Path = MACHINE) -> Taken:
    """Take in a JSON export; what is here already stays as it is, so that a file can be imported again.

    `root` is where the state of the clock is read.

    Raises:
        HistoryError: the file cannot be read, or is not what it should be; nothing is taken in then.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe waits for whoever writes into it
            raise HistoryError(f"{path} is no regular file; name a JSON export")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise HistoryError(f"cannot read {path} ({error.strerror}); check its name and its owner") from None
    if len(data) > MAX_FILE_BYTES:
        raise HistoryError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; export in parts, and import those")
    try:
        found = read_document(data)
        if clock_state(root) == "synchronised":
            refuse_times_after(found, now() + _AHEAD)
        return history.take_in(found, "imported")
    except FaultyDocumentError as fault:
        raise HistoryError(f"{path} cannot be imported: {fault}; nothing was taken in") from None

"""The patient note of `--note`: a text file or standard input."""

import sys
from pathlib import Path

from assistant.errors import NoteError
from assistant.plaintext import plain

MAX_NOTE_BYTES = 64 * 1024
STANDARD_INPUT = "-"


def read_note(source: str) -> str:
    """The text of the note, control characters removed. Raises NoteError where there is none that can be used."""
    data = _read_bytes(source)
    name = "standard input" if source == STANDARD_INPUT else source
    if len(data) > MAX_NOTE_BYTES:
        raise NoteError(f"the note {name} is larger than {MAX_NOTE_BYTES // 1024} KiB; give the part that matters")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoteError(f"the note {name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise NoteError(f"the note {name} holds binary data; give a text file")
    if not (note := plain(text).strip()):
        raise NoteError(f"the note {name} is empty; write something into it or leave --note out")
    return note


def _read_bytes(source: str) -> bytes:
    """At most one byte more than a note may have, so that an endless file ends here too."""
    try:
        if source == STANDARD_INPUT:
            return sys.stdin.buffer.read(MAX_NOTE_BYTES + 1)
        with Path(source).open("rb") as stream:
            return stream.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise NoteError(f"cannot read the note {source}: {error.strerror}; check the path of --note") from error

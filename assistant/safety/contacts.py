"""The operator's own numbers for a patient at risk of self-harm: a file in the data folder, since none is right everywhere."""

import re
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import ContactsError
from assistant.plaintext import plain_line
from models.errors import ModelFileError
from models.store import data_folder
from models.tables import read_rows

FILE_NAME = "crisis-contacts.toml"
_NUMBER = re.compile(r"\+?[0-9][0-9 ()/.-]{1,24}")
_MOST_CHARACTERS = 80
_MOST_CONTACTS = 8


@dataclass(frozen=True)
class Contact:
    """Whom to call; `hours` in the operator's words, empty for always."""

    name: str
    number: str
    hours: str = ""


def contacts_file() -> Path:
    """Where the numbers are looked for unless a command names another file."""
    return data_folder() / FILE_NAME


def read_contacts(path: Path | None = None) -> tuple[Contact, ...]:
    """The `[[contact]]` tables of `path`, or of the data folder, where no file means none. Raises ContactsError."""
    chosen = path or contacts_file()
    if path is None and not chosen.exists():
        return ()
    try:
        rows = read_rows(chosen, "contact", Contact)
    except ModelFileError as error:
        raise ContactsError(f"{error}; give [[contact]] tables with name, number and, if not always, hours") from error
    for row in rows:
        if not _NUMBER.fullmatch(row.number):
            raise ContactsError(f"{chosen}: number {row.number!r} of {row.name!r} is no telephone number; correct it")
        for text in (row.name, row.hours):
            if text != plain_line(text) or len(text) > _MOST_CHARACTERS or not row.name:
                raise ContactsError(f"{chosen}: {text[:40]!r} is not a short line of text; correct it")
    if len(rows) > _MOST_CONTACTS:
        raise ContactsError(f"{chosen}: {len(rows)} contacts; keep the {_MOST_CONTACTS} that matter")
    return rows

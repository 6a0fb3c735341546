"""Errors of the assistant; the command line prints each as one line.

BedsideError
├── LibraryError           the passage library cannot be opened or does not exist
│   └── DamagedLibraryError  its file is damaged, foreign or of a newer version
├── PromptTooLongError     question and note leave no room for an answer in the model's context
├── QueueFullError         as many requests wait as may
├── EngineClosedError      the engine is shutting down
├── MemoryBudgetError      a model does not fit into what is free
├── ServerError            no server answers, or it refuses
├── ServeError             a server cannot listen where it shall
├── ServiceError           the system service cannot be installed, asked or removed
├── MissingExtraError      a command needs packages that this installation left out
├── ProofError             whether anything leaves this machine cannot be found out
├── ContactsError          the file of the operator's numbers cannot be used
├── HistoryError           the history cannot be opened, read, written, brought in or out
│   ├── DiskFullError      it was not saved, since there is no room on the disk
│   ├── RemovedError       what it is about is not in the history any more
│   └── WrongPassphraseError  it opens with another passphrase or recovery code
└── TextError
    ├── NoteError          the patient note cannot be read
    └── DocumentError      a document cannot be taken into a library
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.errors import BedsideError, TextError

LOADING = "the model is being loaded; try again"
"""What a server says until it can answer; its clients wait where they read this, and only then."""


class LibraryError(BedsideError):
    """The passage library cannot be opened or does not exist."""


class DamagedLibraryError(LibraryError):
    """A library's file, at `path`, is damaged, foreign or of a newer version."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class PromptTooLongError(BedsideError):
    """Question and note leave no room for an answer in the model's context."""


class QueueFullError(BedsideError):
    """As many requests wait as may."""


class EngineClosedError(BedsideError):
    """The engine is shutting down."""


class MemoryBudgetError(BedsideError):
    """A model does not fit into what is free."""


class ServerError(BedsideError):
    """No server answers, or it refuses; `red_flags` is the server's object where it screened what it refused."""

    def __init__(self, message: str, red_flags: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.red_flags = red_flags


class ServeError(BedsideError):
    """A server cannot listen where it shall."""


class ServiceError(BedsideError):
    """The system service cannot be installed, asked or removed."""


class MissingExtraError(BedsideError):
    """A command needs packages that this installation left out."""


class ProofError(BedsideError):
    """Whether anything leaves this machine cannot be found out."""


class ContactsError(BedsideError):
    """The file of the operator's numbers cannot be used."""


class HistoryError(BedsideError):
    """The history cannot be opened, read, written, brought in or out."""


class DiskFullError(HistoryError):
    """It was not saved, since there is no room on the disk."""


class RemovedError(HistoryError):
    """What it is about is not in the history any more."""


class WrongPassphraseError(HistoryError):
    """The history opens with another passphrase or recovery code."""


class NoteError(TextError):
    """The patient note cannot be read."""


class DocumentError(TextError):
    """A document cannot be taken into a library."""

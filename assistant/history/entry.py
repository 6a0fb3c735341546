"""What a person types that must not be seen: asked for on the terminal without echo, or read from a file."""

import getpass
import os
from pathlib import Path

import typer

from assistant.errors import HistoryError
from assistant.history.vault import check_passphrase

_MAX_FILE_BYTES = 64 << 10
_TERMINAL = "/dev/tty"


def ask_passphrase(prompt: str, file: Path | None, option: str) -> str:
    """The passphrase: the first line of the file, else what is typed.

    Raises:
        HistoryError: the file cannot be read, or there is no terminal to ask on.
        typer.Abort: the terminal was closed instead of an answer.
    """
    return _typed(prompt, option) if file is None else _first_line(file)


def ask_new_passphrase(file: Path | None, option: str) -> str:
    """A passphrase that is being set: typed twice, and long enough. Raises as `ask_passphrase`."""
    new = check_passphrase(ask_passphrase("New passphrase: ", file, option))
    if file is None and check_passphrase(_typed("The same once more: ", option)) != new:
        raise HistoryError("the two passphrases differ; nothing was changed: run the command again")
    return new


def ask_code(file: Path | None, option: str) -> str:
    """The recovery code; it is shown while it is typed, since it is worth nothing afterwards. Raises as `ask_passphrase`."""
    if file is not None:
        return _first_line(file)
    _require_terminal(option)
    with Path(_TERMINAL).open("r+b", buffering=0) as terminal:
        terminal.write(b"Recovery code: ")
        typed = terminal.readline()
    if not typed:
        raise typer.Abort
    return typed.decode(errors="replace").strip()


def _typed(prompt: str, option: str) -> str:
    _require_terminal(option)
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise typer.Abort from None


def _require_terminal(option: str) -> None:
    """Without this, input would be read from wherever and be shown."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise HistoryError(f"there is no terminal to type it on; give {option} FILE") from None


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES)
        line = data.decode("utf-8-sig").partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise HistoryError(f"cannot read {file} ({error.strerror}); check its name and its owner") from None
    except UnicodeDecodeError as error:
        raise HistoryError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if not line:
        raise HistoryError(f"the first line of {file} is empty; write the passphrase or the code there")
    return line

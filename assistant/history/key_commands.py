"""The commands of `bedside history` about its key and its place: set, change and recover the passphrase; what is there."""

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.plaintext import plain_line

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="The passphrase is the first line of this file.  [default: you are asked]",
        show_default=False,
    ),
]
_NewPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--new-passphrase-file",
        metavar="FILE",
        help="The new passphrase is the first line of this file.  [default: you are asked]",
        show_default=False,
    ),
]
_CodeFile = Annotated[
    Path | None,
    typer.Option(
        "--code-file",
        metavar="FILE",
        help="The code is the first line of this file.  [default: you are asked]",
        show_default=False,
    ),
]


def passphrase(passphrase_file: PassphraseFile = None, new_passphrase_file: _NewPassphraseFile = None) -> None:
    """Set a passphrase, or change it.

    Once one is set, conversations are kept, encrypted. The recovery code is shown once.
    """
    from assistant.history.entry import ask_new_passphrase, ask_passphrase
    from assistant.history.place import history_folder
    from assistant.history.store import History
    from assistant.history.vault import Vault
    from assistant.history.views import print_code

    vault = Vault(history_folder())
    if not vault.exists:
        key, code = vault.create(ask_new_passphrase(new_passphrase_file, "--new-passphrase-file"))
        History.open(vault.folder, key).close()
        print(f"conversations are kept in {vault.folder} from now on, encrypted")
        _say_if_open(vault.folder)
        print_code(code)
        return
    former = ask_passphrase("Present passphrase: ", passphrase_file, "--passphrase-file")
    with closing(History.open(vault.folder, vault.unlock(former))) as history:
        vault.change(former, ask_new_passphrase(new_passphrase_file, "--new-passphrase-file"))
        history.record("passphrase changed", 1)
    print("the passphrase is changed; the recovery code is the same, backups open as before")


def recover(code_file: _CodeFile = None, new_passphrase_file: _NewPassphraseFile = None) -> None:
    """Set a new passphrase by the recovery code.

    For when the passphrase is forgotten. The code opens nothing but older backups afterwards; a new one is shown.
    """
    from assistant.history.entry import ask_code, ask_new_passphrase
    from assistant.history.place import history_folder
    from assistant.history.store import History
    from assistant.history.vault import Vault
    from assistant.history.views import print_code

    vault = Vault(history_folder())
    vault.require()
    code = ask_code(code_file, "--code-file")
    with closing(History.open(vault.folder, vault.unlock_by_code(code))) as history:
        _, new_code = vault.recover(code, ask_new_passphrase(new_passphrase_file, "--new-passphrase-file"))
        history.record("recovered", 1)
    print("the passphrase is changed, and the recovery code too: the former one opens older backups only")
    print_code(new_code)


def status(as_json: AsJson = False) -> None:
    """Show whether conversations are kept, and where.

    Asks for nothing and opens nothing.
    """
    from assistant.history.clock import clock_state
    from assistant.history.place import database_file, history_folder
    from assistant.history.vault import Vault
    from models.disk import show_bytes

    vault = Vault(history_folder())
    path = database_file(vault.folder)
    size = path.stat().st_size if path.exists() else None
    facts: dict[str, Any] = {
        "folder": str(vault.folder),
        "encrypted": vault.exists,
        "key_id": vault.key_id if vault.exists else None,
        "size_bytes": size,
        "clock": clock_state(),
    }
    if as_json:
        print(json.dumps(facts))
    elif not vault.exists:
        print("no passphrase is set: conversations stay in memory and go with the program that holds them")
        print(f"to keep them, encrypted, in {vault.folder}: bedside history passphrase")
    else:
        print(f"kept in {vault.folder}, encrypted; key {facts['key_id']}")
        print(f"database: {'missing' if size is None else show_bytes(size)}")
        print(f"clock: {facts['clock']}")
        _say_if_open(vault.folder)


def _say_if_open(folder: Path) -> None:
    from assistant.history.place import open_to_others

    if said := open_to_others(folder):
        print(plain_line(said))

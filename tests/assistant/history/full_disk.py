"""What a terminal can do on a full disk: `python -m tests.assistant.history.full_disk FOLDER`, on a disk of a few MiB."""

import sys
from contextlib import closing
from pathlib import Path

from assistant.errors import DiskFullError
from assistant.history.store import History
from assistant.history.vault import Vault
from tests.assistant.history.conftest import PASSPHRASE, QUICK, talk


def fill(folder: Path) -> None:
    try:
        with (folder / "filler").open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 512)
    except OSError:
        return


def refused(history: History) -> str:
    try:
        while True:
            talk(history, "a question", "an answer " * 5000)
    except DiskFullError as error:
        return str(error)


def used_before(folder: Path) -> tuple[Vault, bytes]:
    """A history that nobody has open while the disk becomes full."""
    key, _ = (vault := Vault(folder, QUICK)).create(PASSPHRASE)
    with closing(History.open(folder, key)) as history:
        talk(history, "an earlier question", "its answer")
    return vault, key


def main(folder: Path) -> None:
    earlier, earlier_key = used_before(folder / "earlier")
    key, _ = (vault := Vault(folder / "history", QUICK)).create(PASSPHRASE)
    with closing(History.open(vault.folder, key)) as history:
        first = talk(history, "the first question", "its answer")
        print(refused(history).partition(": ")[2].partition(";")[0])
        print("whole" if not history.faults() else "damaged", len(history.messages(first.id)))
    with closing(History.open(vault.folder, key)) as history:
        kept = history.conversations(-1)
        print("opened again" if len(history.search("first question", 1)) == 1 else "not found")
        for each in kept[:3]:
            history.remove(each.id)
        print("removed", len(kept) - len(history.conversations(-1)))
        print("purged", history.purge(None).conversations == len(kept) - 3)
        print("whole" if not history.faults() else "damaged")
    fill(folder)
    with closing(History.open(earlier.folder, earlier_key)) as history:
        [found] = history.search("earlier question its answer", 1)
        history.remove(found.conversation.id)
        print("left", len(history.conversations(-1)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

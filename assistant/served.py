"""Which model a server without `--model` starts with, and the one before it: a file below the data folder.

It is replaced whole once a new model has been loaded and tested, so that a server that dies before starts with the old one.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from models.builtin import REFERENCE_ID
from models.disk import storage_errors, write_atomically
from models.errors import ModelFileError
from models.store import data_folder


@dataclass(frozen=True)
class Served:
    """A model as it was served: an id of the store or the catalogue, or the path of a file, with its digest then."""

    name: str
    sha256: str | None = None
    """None of the model that a new installation begins with, which nobody has chosen yet."""


@dataclass(frozen=True)
class Choice:
    """What is served, and what was served before that."""

    now: Served = Served(REFERENCE_ID)
    before: Served | None = None


def choice_file() -> Path:
    """Where it is kept: in a folder of its own, which is all of this that the service may write."""
    return data_folder() / "served" / "model.json"


def read_choice() -> Choice:
    """What was chosen last; the reference model where nothing was. Raises ModelFileError where the file cannot be used."""
    path = choice_file()
    try:
        found = json.loads(path.read_bytes())
        before = found["before"]
        return Choice(_served(found["now"]), None if before is None else _served(before))
    except FileNotFoundError:
        return Choice()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path} does not say which model to serve ({type(error).__name__}); remove it to begin with the reference"
            " model"
        ) from None


def write_choice(choice: Choice) -> None:
    """Durable where it returns. Raises StorageError; the file is as it was then."""
    path = choice_file()
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(asdict(choice), indent=2) + "\n").encode())


def _served(found: dict[str, object]) -> Served:
    name, sha256 = found["name"], found["sha256"]
    if not isinstance(name, str) or not (sha256 is None or isinstance(sha256, str)):
        raise TypeError
    return Served(name, sha256)

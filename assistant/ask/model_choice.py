"""Which model answers: a name from catalogue or store, or a file, checked before it is loaded."""

import re
from dataclasses import dataclass
from pathlib import Path

from assistant.served import choice_file, read_choice
from models.builtin import REFERENCE_ID
from models.errors import ModelFileError, ModelNotFoundError
from models.gguf_header import read_header
from models.imports import Trial, first_load
from models.resolve import gguf_sha256, resolve_gguf

REFERENCE_NOTICE = "reference model: not for clinical use"


@dataclass(frozen=True)
class ChosenModel:
    """The file to load, the name to show, and what must be said with its answers."""

    path: Path
    name: str
    sha256: str
    notice: str | None


def choose_model(name: str, trial: Trial = first_load) -> ChosenModel:
    """Find and check the model. Raises ModelNotFoundError or ModelFileError.

    Its header is read by our own bounded reader, and its first load happens in a process that may die of it: a file given
    by path has no pinned checksum, and one in the store may have decayed on its disk since it had the right one.
    """
    path = resolve_gguf(name)
    header = read_header(path)
    by_path = name != REFERENCE_ID and path == Path(name)
    if name != REFERENCE_ID:
        trial(path)
    exported_from = str(header.metadata.get("general.name", "")).casefold()
    is_reference = name == REFERENCE_ID or re.match(rf"(bedside[ -])?{REFERENCE_ID}\b", exported_from)
    shown = path.name if by_path else name
    return ChosenModel(path, shown, gguf_sha256(name), REFERENCE_NOTICE if is_reference else None)


def choose_served() -> ChosenModel:
    """What `bedside switch` chose last. Raises as `choose_model` does, with what brings a server up again."""
    name = read_choice().now.name
    try:
        return choose_model(name)
    except (ModelFileError, ModelNotFoundError) as error:
        raise type(error)(
            f"{error} ({choice_file()} names it; without that file the reference model is served)"
        ) from None

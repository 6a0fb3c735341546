"""The reference model that ships with the package: its checkpoint folder, its Q4_0 file, and their checksums."""

from pathlib import Path

from models.errors import ModelFileError

REFERENCE_ID = "reference"
CHECKSUMS = "SHA256SUMS"
_REINSTALL = "install Bedside again"


def reference_folder() -> Path:
    """The checkpoint folder of the reference model.

    Raises:
        ModelFileError: it is not in this installation.
    """
    folder = Path(__file__).with_name("reference")
    if not (folder / "config.json").is_file():
        raise ModelFileError(f"the reference model is missing from {folder}: {_REINSTALL}")
    return folder


def reference_gguf() -> Path:
    """The compressed file of the reference model: the only `*-q4_0.gguf` in its folder.

    Raises:
        ModelFileError: there is none, or more than one.
    """
    folder = Path(__file__).with_name("reference")
    found = sorted(folder.glob("*-q4_0.gguf"))
    if len(found) != 1:
        raise ModelFileError(f"{folder} holds {len(found)} files *-q4_0.gguf, expected one: {_REINSTALL}")
    return found[0]


def reference_checksums() -> dict[str, str]:
    """sha256 of each packaged file by name, from `SHA256SUMS` (`<hex>  <name>` lines).

    Raises:
        ModelFileError: the list is missing or not of that form.
    """
    path = reference_folder() / CHECKSUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise ModelFileError(f"{path} is missing: {_REINSTALL}") from None
    checksums = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or "/" in name:
            raise ModelFileError(f"{path}: {line!r} is not `<sha256>  <name>`: {_REINSTALL}")
        checksums[name] = digest
    return checksums

"""The importer of a file, by its suffix."""

from collections.abc import Callable, Mapping
from pathlib import PurePath

from assistant.errors import DocumentError
from assistant.knowledge.importers.archive import read_archive
from assistant.knowledge.importers.json_lines import read_json_lines
from assistant.knowledge.importers.manuscript import Manuscript
from assistant.knowledge.importers.markdown import read_markdown
from assistant.knowledge.importers.medquad_xml import read_medquad_xml
from assistant.knowledge.importers.plain_text import read_plain_text

Importer = Callable[[str, bytes], tuple[Manuscript, ...]]
"""A file's name for messages, and its bytes."""

IMPORT_VERSION = 1
"""To be raised when an importer or the cutter makes other passages of the same file: it is then taken in again."""
MAX_FILE_BYTES = 128 << 20
"""What is read of a file takes about seven times its size in memory."""


def _read_pdf(name: str, data: bytes) -> tuple[Manuscript, ...]:
    from assistant.knowledge.importers.pdf import read_pdf  # half a second, which other files need not take

    return read_pdf(name, data)


def _read_zip(name: str, data: bytes) -> tuple[Manuscript, ...]:
    return read_archive(name, data, lambda path: can_read(path) and path.suffix.lower() != ".zip", read_document)


_IMPORTERS: Mapping[str, Importer] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_plain_text,
    ".text": read_plain_text,
    ".pdf": _read_pdf,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".xml": read_medquad_xml,
    ".zip": _read_zip,
}


def can_read(path: PurePath) -> bool:
    """Whether a file that is met in a folder or archive is a document to read: not hidden, not about the others."""
    about = path.stem.lower() in ("readme", "licence", "license", "changelog")
    return path.suffix.lower() in _IMPORTERS and not path.name.startswith(".") and not about


def read_document(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The documents of a file. Raises DocumentError, one line with the file's name."""
    importer = _IMPORTERS.get(PurePath(name).suffix.lower())
    if importer is None:
        raise DocumentError(f"{name} has none of the suffixes that can be read: {', '.join(sorted(_IMPORTERS))}")
    return importer(name, data)

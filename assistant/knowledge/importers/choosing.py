"""The importer of a file, by its suffix."""

from collections.abc import Callable, Mapping
from pathlib import PurePath

from assistant.errors import DocumentError
from assistant.knowledge.importers.archive import OnMember, read_archive
from assistant.knowledge.importers.json_lines import read_json_lines
from assistant.knowledge.importers.manuscript import Manuscript
from assistant.knowledge.importers.markdown import read_markdown
from assistant.knowledge.importers.medquad_xml import read_medquad_xml
from assistant.knowledge.importers.plain_text import read_plain_text

Importer = Callable[[str, bytes], tuple[Manuscript, ...]]
"""A file's name for messages, and its bytes."""

IMPORT_VERSION = 2
"""To be raised when an importer or the cutter makes other passages of the same file: it is then taken in again."""
MAX_FILE_BYTES = 128 << 20
"""What is read of a file takes about seven times its size in memory."""


def _read_pdf(name: str, data: bytes) -> tuple[Manuscript, ...]:
    from assistant.knowledge.importers.pdf import read_pdf  # half a second, which other files need not take

    return read_pdf(name, data)


_ARCHIVE = ".zip"
_IMPORTERS: Mapping[str, Importer] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_plain_text,
    ".text": read_plain_text,
    ".pdf": _read_pdf,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".xml": read_medquad_xml,
}


def can_read(path: PurePath) -> bool:
    """Whether a file that is met in a folder or archive is a document to read: not hidden, not about the others."""
    about = path.stem.lower() in ("readme", "licence", "license", "changelog")
    return path.suffix.lower() in (*_IMPORTERS, _ARCHIVE) and not path.name.startswith(".") and not about


def read_document(name: str, data: bytes, on_member: OnMember = lambda member: None) -> tuple[Manuscript, ...]:
    """The documents of a file; of an archive, `on_member` is told each member that is read.

    Raises:
        DocumentError: one line with the file's name.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix == _ARCHIVE:
        return read_archive(name, data, _is_member, _read_member, most_bytes=MAX_FILE_BYTES, on_member=on_member)
    if suffix not in _IMPORTERS:
        known = ", ".join(sorted((*_IMPORTERS, _ARCHIVE)))
        raise DocumentError(f"{name} has none of the suffixes that can be read: {known}")
    return _IMPORTERS[suffix](name, data)


def _read_member(name: str, data: bytes) -> tuple[Manuscript, ...]:
    if len(data) > MAX_FILE_BYTES:
        raise DocumentError(f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
    return read_document(name, data)


def _is_member(path: PurePath) -> bool:
    return can_read(path) and path.suffix.lower() != _ARCHIVE

"""What every importer makes of a file: documents of sections of paragraphs, each paragraph with its place."""

import codecs
from dataclasses import dataclass

from assistant.errors import DocumentError


@dataclass(frozen=True)
class Paragraph:
    """Text that belongs together, and the number of the line, page or question that it begins at."""

    text: str
    place: int


@dataclass(frozen=True)
class Section:
    """Paragraphs under the same headings, outermost first."""

    path: tuple[str, ...]
    paragraphs: tuple[Paragraph, ...]


@dataclass(frozen=True)
class Manuscript:
    """A document as its file has it, not yet cleaned or cut; what the file does not say is empty.

    `name` tells it apart from others of the same file. `unit` is what `place` counts. `left_out` counts entries of the
    file that hold no text or cannot be read. `fault` stands for a part of the file that cannot be read, and says why.
    """

    sections: tuple[Section, ...]
    unit: str
    name: str = ""
    title: str = ""
    date: str = ""
    licence: str = ""
    source: str = ""
    keywords: tuple[str, ...] = ()
    left_out: int = 0
    fault: str = ""


def decode(name: str, data: bytes) -> str:
    """The text of a file with line ends made `\\n`.

    Raises:
        DocumentError: it is not UTF-8 (or UTF-16 with its mark), or holds binary data.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if "\0" in text:
        raise DocumentError(f"{name} holds binary data; give a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")

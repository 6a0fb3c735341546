"""Files in the formats that a library takes, written for the tests."""

import io
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """A library's file, changed behind its back; Python's own context manager leaves a connection open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def medquad_xml(number: str, focus: str, answers: Mapping[str, str]) -> bytes:
    """A document as MedQuAD's archive has them: question type to answer."""
    pairs = "".join(
        f'<QAPair pid="{place}"><Question qid="{number}-{place}" qtype="{kind}">What about {escape(focus)} ?</Question>'
        f"<Answer>{escape(answer)}</Answer></QAPair>"
        for place, (kind, answer) in enumerate(answers.items(), start=1)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document id="{number}" source="NHS" url="http://example.org/{number}">'
        f"<Focus>{escape(focus)}</Focus><FocusAnnotations><Synonyms><Synonym>coryza</Synonym></Synonyms></FocusAnnotations>"
        f"<QAPairs>{pairs}</QAPairs></Document>"
    ).encode()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A ZIP archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    title: str = "",
    bookmarks: Sequence[tuple[str, int, int]] = (),
    password: str | None = None,
) -> bytes:
    """A PDF of pages of lines; bookmarks are title, page from 0, and level from 0."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for lines in pages:
        page = writer.add_blank_page(612, 792)
        content = DecodedStreamObject()
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        content.set_data(f"BT /F1 12 Tf 72 720 Td {shown}ET".encode("latin-1"))
        page[NameObject("/Contents")] = content
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    if title:
        writer.add_metadata({"/Title": title})
    above: list[object] = []
    for name, at, level in bookmarks:
        del above[level:]
        above.append(writer.add_outline_item(title=name, page_number=at, parent=above[-1] if above else None))  # type: ignore[arg-type]
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()

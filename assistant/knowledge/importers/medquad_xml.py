"""MedQuAD's own files: one XML document a topic, with a question of a named type and its answer for each section.

The answers of three of its collections were taken out by its authors for their publisher's copyright: such questions are
counted as left out. Format: Ben Abacha and Demner-Fushman, BMC Bioinformatics 20:511 (2019).
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from assistant.errors import DocumentError
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section

LICENCE = "CC BY 4.0"
_ITEM = re.compile(r"\n+|[ \t]{2,}(?=[-•]\s)")
"""Answers were taken from web pages: an item of a list stands behind spaces, not on a line of its own."""


@dataclass(frozen=True)
class _Form:
    """How elements and attributes are called."""

    id: str
    source: str
    focus: str
    pair: str
    question: str
    answer: str


_FORMS = {
    "Document": _Form("id", "source", "Focus", "QAPairs/QAPair", "Question", "Answer"),
    # A few files of the archive are of older forms.
    "DiseaseFile": _Form("fid", "source", "Focus", "QAPairs/QAPair", "Question", "Answer"),
    "doc": _Form("docid", "corpus", "doctitle-focus", "qaPairs/pair", "question", "answer"),
}


class _Builder(ElementTree.TreeBuilder):
    """Builds the tree, and takes no document type: it could declare entities that grow without bound."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        """Refuse it."""
        raise DocumentError(f"has a document type ({name}), which MedQuAD's files do not")


def read_medquad_xml(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The file as one document. Raises DocumentError where it is not one of MedQuAD's."""
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_Builder()))
    except DocumentError as error:
        raise DocumentError(f"{name} {error}; only MedQuAD's XML can be read") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DocumentError(f"{name} is not well-formed XML ({error}); fetch it again") from None
    form = _FORMS.get(root.tag)
    number = root.get(form.id) if form is not None else None
    if form is None or not number:
        raise DocumentError(f"{name} is no document of MedQuAD; only its XML can be read")
    pairs = root.findall(form.pair)
    sections = tuple(_section(form, place, pair) for place, pair in enumerate(pairs, start=1))
    asked = next((_words(pair.findtext(form.question)) for pair in pairs), "")
    return (
        Manuscript(
            tuple(section for section in sections if section.paragraphs),
            "question",
            name=f"{root.get(form.source, 'medquad')}-{number}",
            title=_words(root.findtext(form.focus)) or asked,
            licence=LICENCE,
            source=root.get("url", ""),
            keywords=tuple(filter(None, (_words(each.text) for each in root.iter("Synonym")))),
            left_out=sum(not section.paragraphs for section in sections),
        ),
    )


def _section(form: _Form, place: int, pair: ElementTree.Element) -> Section:
    question = pair.find(form.question)
    kind = "" if question is None else _words(question.get("qtype"))
    items = (_words(item) for item in _ITEM.split(pair.findtext(form.answer) or ""))
    path = (kind[:1].upper() + kind[1:],) if kind else ()
    return Section(path, tuple(Paragraph(item, place) for item in items if item))


def _words(text: str | None) -> str:
    return " ".join((text or "").split())

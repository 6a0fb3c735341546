"""MedQuAD's own files: one XML document a topic, with a question of a named type and its answer for each section.

The answers of three of its collections were taken out by its authors for their publisher's copyright: such questions are
counted as left out. Format: Ben Abacha and Demner-Fushman, BMC Bioinformatics 20:511 (2019).
"""

import re
from xml.etree import ElementTree

from assistant.errors import DocumentError
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section

LICENCE = "CC BY 4.0"
_ITEM = re.compile(r"\n+|[ \t]{2,}(?=[-•]\s)")
"""Answers were taken from web pages: an item of a list stands behind spaces, not on a line of its own."""


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
    focus = _words(root.findtext("Focus"))
    pairs = root.findall("QAPairs/QAPair")
    if root.tag != "Document" or not focus or not root.get("id") or root.find("QAPairs") is None:
        raise DocumentError(f"{name} is no document of MedQuAD; only its XML can be read")
    sections = tuple(_section(number, pair) for number, pair in enumerate(pairs, start=1))
    return (
        Manuscript(
            tuple(section for section in sections if section.paragraphs),
            "question",
            name=f"{root.get('source', 'medquad')}-{root.get('id')}",
            title=focus,
            licence=LICENCE,
            source=root.get("url", ""),
            keywords=tuple(filter(None, (_words(each.text) for each in root.iter("Synonym")))),
            left_out=sum(not section.paragraphs for section in sections),
        ),
    )


def _section(number: int, pair: ElementTree.Element) -> Section:
    question = pair.find("Question")
    kind = "" if question is None else _words(question.get("qtype"))
    items = (_words(item) for item in _ITEM.split(pair.findtext("Answer") or ""))
    path = (kind[:1].upper() + kind[1:],) if kind else ()
    return Section(path, tuple(Paragraph(item, number) for item in items if item))


def _words(text: str | None) -> str:
    return " ".join((text or "").split())

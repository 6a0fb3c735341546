"""A finished answer with all that came with it, and its JSON form as design and API pages fix it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assistant.knowledge.citations import Check
from assistant.knowledge.evidence import Evidence
from assistant.knowledge.library import LibraryPassage, source_fields

MAX_ANSWER_TOKENS = 512
INTENDED_USE = "for clinicians, not for patients"
"""Said wherever the program introduces itself."""


@dataclass(frozen=True)
class Versions:
    """What an answer was made with: the server's release, its model's file, and each library that was searched."""

    bedside: str
    model_sha256: str
    libraries: Mapping[str, str]
    left_out: Mapping[str, str]
    """Libraries that could not be read, and why."""


@dataclass(frozen=True)
class Answer:
    """`text` has neither terminal controls nor white space around it; `sources` are numbered from 1 in their order."""

    text: str
    sources: tuple[LibraryPassage, ...]
    evidence: Evidence
    checks: tuple[Check, ...]
    red_flags: Mapping[str, Any]
    """The server's `red_flags` object; its messages are those of `Question.messages`."""
    usage: Mapping[str, Any]
    """The server's usage block."""
    model: str
    notice: str | None
    versions: Versions
    refused: bool = False
    """Whether the server answered in the model's place, since the means to harm somebody were asked for."""

    def as_json(self) -> dict[str, object]:
        """The one object that `bedside ask --json` prints."""
        return {
            "answer": self.text,
            "sources": [source_fields(number, passage) for number, passage in enumerate(self.sources, start=1)],
            "evidence": self.evidence,
            "red_flags": dict(self.red_flags),
            "checks": [asdict(check) for check in self.checks],
            "usage": dict(self.usage),
            "model": self.model,
            "notice": self.notice,
            "versions": asdict(self.versions),
        }

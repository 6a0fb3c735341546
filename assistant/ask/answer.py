"""A finished answer with all that came with it, and its JSON form as design and API pages fix it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from assistant.knowledge.citations import Check
from assistant.knowledge.claims import normalized
from assistant.knowledge.library import LibraryPassage, source_fields
from models.grounding import NO_ANSWER

Evidence = Literal["sufficient", "insufficient", "out_of_scope", "off"]

MAX_ANSWER_TOKENS = 512
NOT_SCREENED = "the red-flag screen is not part of this version"


@dataclass(frozen=True)
class Answer:
    """`text` has neither terminal controls nor white space around it; `sources` are numbered from 1 in their order."""

    text: str
    sources: tuple[LibraryPassage, ...]
    evidence: Evidence
    checks: tuple[Check, ...]
    usage: Mapping[str, Any]
    """The server's usage block."""
    model: str
    notice: str | None

    def as_json(self) -> dict[str, object]:
        """The one object that `bedside ask --json` prints."""
        return {
            "answer": self.text,
            "sources": [source_fields(number, passage) for number, passage in enumerate(self.sources, start=1)],
            "evidence": self.evidence,
            "red_flags": red_flag_fields(),
            "checks": [asdict(check) for check in self.checks],
            "usage": dict(self.usage),
            "model": self.model,
            "notice": self.notice,
        }


def red_flag_fields() -> dict[str, object]:
    """What the screen found: it is not there yet, and says so."""
    return {"screened": False, "reason": NOT_SCREENED, "rules": None, "findings": []}


def judge_evidence(text: str, sources: Sequence[LibraryPassage], checks: Sequence[Check]) -> Evidence:
    """What the answer to a grounded question rests on: without sources the library does not cover the question.

    One sentence that its source does not support makes the whole answer one to distrust.
    """
    if not sources:
        return "out_of_scope"
    declined = normalized(text).startswith(normalized(NO_ANSWER))
    supported = bool(checks) and all(check.status == "supported" for check in checks)
    return "sufficient" if supported and not declined else "insufficient"

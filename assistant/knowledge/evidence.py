"""How far an answer can be relied on: `sufficient`, `insufficient`, or `out_of_scope`; `off` without a library.

Before the answer it is told from the passages: none found is out of scope, and passages that hold too little of what the
question asks about are insufficient. The finished answer can only make it worse.
"""

from collections.abc import Sequence
from typing import Literal

from assistant.knowledge.citations import Check
from assistant.knowledge.claims.claim import read_claim
from assistant.knowledge.claims.marks import normalized
from assistant.knowledge.claims.support import read_passage
from models.grounding import NO_ANSWER, Passage

Evidence = Literal["sufficient", "insufficient", "out_of_scope", "off"]

LEAST_HELD = 0.25
"""Share of the question's telling words that the passages must hold; lay words and abbreviations may stand for theirs."""
LEAST_ASKED = 3
"""Telling words from which a share says anything: on fewer the search is trusted."""
LEAST_SUPPORTED = 0.8
"""Share of an answer's sentences that must be supported."""
_GRAVE = frozenset({"number", "unit", "drug", "negation"})


def evidence_of_passages(question: str, passages: Sequence[Passage]) -> Evidence:
    """What the passages found for a question promise."""
    if not passages:
        return "out_of_scope"
    asked = {word.key for word in read_claim(question).words if word.kind == "specific"}
    held = frozenset[str]().union(*(read_passage(passage).keys for passage in passages))
    is_held = len(asked) < LEAST_ASKED or len(asked & held) >= LEAST_HELD * len(asked)
    return "sufficient" if is_held else "insufficient"


def evidence_of_answer(found: Evidence, answer: str, checks: Sequence[Check], *, in_circles: bool = False) -> Evidence:
    """What a finished answer rests on; `found` is what its passages promised, `in_circles` that it had to be stopped.

    One sentence with a wrong number, unit, drug or negation makes the whole answer one to distrust, and so do too many
    that no passage supports, and the answer that the passages hold none.
    """
    if found != "sufficient" or in_circles or not checks or declines(answer):
        return found if found != "sufficient" else "insufficient"
    if any(check.status != "supported" and not _GRAVE.isdisjoint(check.reasons) for check in checks):
        return "insufficient"
    supported = sum(check.status == "supported" for check in checks)
    return "sufficient" if supported >= LEAST_SUPPORTED * len(checks) else "insufficient"


def declines(answer: str) -> bool:
    """Whether an answer begins by saying that the passages hold none."""
    return normalized(answer).startswith(normalized(NO_ANSWER))

"""How far an answer can be relied on: `sufficient`, `insufficient`, or `out_of_scope`; `off` without a library.

Before the answer it is told from the passages: none found is out of scope, and passages that hold too little of what the
question asks about are insufficient. The finished answer can only make it worse.
"""

import re
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
_DOSE = re.compile(
    r"(?<!missed )(?<!missing )(?<!next )(?<!another )\bdos(?:es?|ages?|ing)\b|\bhow much\b"
    r"|\bhow many (?:mg|milligrams|micrograms|tablets|puffs|units|ml|drops)\b",
    re.IGNORECASE,
)
_TIME = re.compile(r"\bhow (?:often|long|soon|quickly|fast)\b|\bfrequency\b|\bwhen\b", re.IGNORECASE)
_AMOUNT = re.compile(
    r"\bhow (?:many|often|long|soon|old|high|low)\b|\b(?:max|maximum|minimum|cut-?offs?|thresholds?|targets?|ranges?)\b"
    r"|\b(?:what|which|normal) (?:\S+ ){0,4}levels?\b|\bwhat (?:age|percentage|rate)\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"\W*(?:should|shall|can|could|is|are|was|do|does|did|may|must|will|would|has|have|why)\b", re.IGNORECASE
)
_DOSE_UNITS = frozenset(
    {"mass", "pound", "volume", "substance", "charge", "activity", "part", "tablet", "dose", "drop", "puff"}
)
_GRAVE = frozenset({"number", "unit", "drug", "negation"})


def evidence_of_passages(question: str, passages: Sequence[Passage]) -> Evidence:
    """What the passages found for a question promise."""
    if not passages:
        return "out_of_scope"
    asked = {word.key for word in read_claim(question).words if word.kind == "specific"}
    held = frozenset[str]().union(*(read_passage(passage).keys for passage in passages))
    is_held = len(asked) < LEAST_ASKED or len(asked & held) >= LEAST_HELD * len(asked)
    return "sufficient" if is_held else "insufficient"


def evidence_of_answer(
    found: Evidence, question: str, answer: str, checks: Sequence[Check], *, in_circles: bool = False
) -> Evidence:
    """What a finished answer rests on; `found` is what its passages promised, `in_circles` that it had to be stopped.

    One sentence with a wrong number, unit, drug or negation makes the whole answer one to distrust, and so do too many
    that no passage supports, the answer that the passages hold none, and one without a quantity where one was asked for.
    """
    if found != "sufficient" or in_circles or not checks or declines(answer):
        return found if found != "sufficient" else "insufficient"
    if any(check.status != "supported" and not _GRAVE.isdisjoint(check.reasons) for check in checks):
        return "insufficient"
    supported = [answer[check.start : check.end] for check in checks if check.status == "supported"]
    is_enough = len(supported) >= LEAST_SUPPORTED * len(checks) and _holds_quantity_asked(question, supported)
    return "sufficient" if is_enough else "insufficient"


def _holds_quantity_asked(question: str, sentences: Sequence[str]) -> bool:
    """Whether one of the sentences holds a quantity of the kind that the question asks for, if it asks for any."""
    asks_dose = bool(_DOSE.search(question)) and not _TIME.search(question)
    if _YES_OR_NO.match(question) or not (asks_dose or _AMOUNT.search(question)):
        return True
    said = [quantity for sentence in sentences for quantity in read_claim(sentence).quantities if not quantity.names]
    return any(not asks_dose or not _DOSE_UNITS.isdisjoint(quantity.unit[:1]) for quantity in said)


def declines(answer: str) -> bool:
    """Whether an answer begins by saying that the passages hold none."""
    return normalized(answer).startswith(normalized(NO_ANSWER))

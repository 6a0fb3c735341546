"""What a question asks in its conversation: `And in children?` behind a question on asthma asks about asthma in children.

By words alone, so the same turns always mean the same. A question that names no subject of its own, or only adds to one
(`and in renal impairment?`), is read together with the earlier ones that it rests on, back to the last that names one. One
that has a subject but points back (`can it be used with warfarin?`, `and salbutamol?`) leans on them: what it finds is
weighed by how it fits them too. Any other stands alone, and what came before only decides between near equals.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from assistant.knowledge.words import is_subject, words

_MOST_TURNS = 4
_POINTING_BACK = 0.5
_ANY_OTHER = 0.15
_OPENING = re.compile(
    r"\s*(and|but|or|also|so|then|what about|how about|what if|what else|same|instead|any other)\b", re.I
)
_FRAGMENT = re.compile(
    r"\s*((and|but|or|also|what about|how about)\s+)+(in|during|for|with|if|when|on|after|before)\b", re.I
)
# Of words that may belong to a finding (`cool, pale leg`) only those that are a sentence.
_COURTESY = re.compile(
    r"\s*((thanks|thank you|thx|cheers|ok|okay|got it)\b[\s,.!;:-]*|(great|cool|right|perfect|nice|fine|good)\s*[.!]+\s*)+",
    re.I,
)
_PRONOUNS = frozenset("it its this that these those they them their he she him his her hers same".split())


@dataclass(frozen=True)
class Asked:
    """A question as it is searched: `text`, weighed by how what it finds fits `context` too."""

    text: str
    context: str = ""
    weight: float = 0.0
    """What a full fit with the context counts beside a full fit with the text."""
    instead: str = ""
    """What is searched where the text finds nothing: it may have named an aspect, not a subject."""


def in_conversation(question: str, earlier: Sequence[str]) -> Asked:
    """Read a question with the person's earlier ones, oldest first."""
    turns = [turn for turn in earlier if turn.strip()][-_MOST_TURNS:]
    if not turns:
        return Asked(question)
    resting_on = "\n".join(_resting_on(turns))
    together = f"{question}\n{resting_on}"
    if not names_subject(question) or _FRAGMENT.match(question):
        return Asked(together)
    if _has_pronoun(question):
        return Asked(question, resting_on, _POINTING_BACK, together)
    if _OPENING.match(question):
        return Asked(question, resting_on, _POINTING_BACK)
    return Asked(question, resting_on, _ANY_OTHER)


def without_courtesy(question: str) -> str:
    """The question without what it says of the last answer: `Cool. Next: sepsis`."""
    return question[match.end() :] if (match := _COURTESY.match(question)) else question


def names_subject(question: str) -> bool:
    """Whether any word says what the question is about, beyond what may be asked of any subject."""
    return any(map(is_subject, words(question)))


def _has_pronoun(question: str) -> bool:
    """Whether a pronoun stands before what the question itself names, and so for something earlier."""
    run = words(question)
    return any(word in _PRONOUNS for word in takewhile(lambda word: not is_subject(word), run))


def _resting_on(turns: Sequence[str]) -> list[str]:
    """The last turns, newest first, back to one that names its own subject and does not point further back."""
    taken: list[str] = []
    for turn in reversed(turns):
        taken.append(turn)
        if names_subject(turn) and not _OPENING.match(turn) and not _has_pronoun(turn):
            break
    return taken

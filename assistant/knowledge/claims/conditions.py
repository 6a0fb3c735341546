"""What a sentence makes its statements depend on: `if ...`, `only specialists`, `in adults`, `over 65`.

A paraphrase that leaves such a condition out says more than its source does. Exceptions (`unless`, `outside`) are denials and
belong to `negation.py`. Only what stands in the same clause is looked at: a condition in the sentence before is not seen.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from assistant.knowledge.claims.lexicon import Word
from assistant.knowledge.claims.quantities import Quantity

_EDGE = re.compile(r"[;:,()–—]|\s(?=(?:and|but|or|whereas|while|although|then)\b)")
_BEGIN = re.compile(r"\W*(?:and|but|or|then)?\W*")
_STOP = re.compile(r"[;:,()–—]")
_TURN = re.compile(r"[;:]|\s(?=(?:but|whereas|although)\s)")
_IF = re.compile(
    r"(?<!even )(?<!as )(?<!what )(?<!ask )(?<!asked )(?<!see )(?<!know )(?<!determine )(?<!check )(?<!decide )(?<!find out )"
    r"(?<!tell )(?<!detect )(?<!learn )(?<!only )(?<!especially )(?<!particularly )(?<!except )(?<!and )(?<!or )"
    r"\b(?:if(?!\s(?:any|possible|needed|necessary|you\sthink|so|not)\b)|provid(?:ed|ing)\sthat|(?<=, )provided"
    r"|(?:as|so)\slong\sas|on\scondition\sthat)\b"
)
_PEOPLE = "adults?|children|infants|babies|newborns|neonates|teenagers|adolescents|boys|girls|men|women"
_WHOM = r"with|who|whose|over|under|aged|older|younger|on|taking"
_POPULATION = re.compile(
    rf"\b(?:in|for|among)\s(?:(?:all|most|an?|older|younger|young|elderly|pregnant|healthy|fit|breastfeeding)\s)*"
    rf"(?:(?:{_PEOPLE}|pregnancy)\b|(?:people|patients|those|persons|individuals)(?=\s(?:{_WHOM})\b))(?!\s(?:than|as)\b)"
)
_QUALIFIED = re.compile(rf"\s(?:{_WHOM})\b")
_AGED = re.compile(
    rf"\b(?:{_PEOPLE}|people|patients|those|persons|anyone|anybody|everyone)\s(?:who\sare\s|aged\s|of\s|ages?\s)*$"
)
_ONLY_SUBJECT = re.compile(
    r"^\W*only\s(?!(?:\d|an?\b|one\b|two\b|three\b|half\b|about\b|few\b))"
    r"(?P<who>[^,;:]{3,60}?)\s(?:should|may|can|must|could|will|is|are|needs?)\b"
)
_ONLY = re.compile(
    r"(?<!not )\bonly\s(?:be\s|been\s)?(?:[a-z]+(?:ed|en)\s)?(?:by|for|after|under|during|in(?!\s(?:part|rare)))\s"
    r"(?!(?:an?\b|one\b|two\b|three\b|few\b|some\b|about\b|\d))"
)
_MOST_ONLY = 2  # content words behind `only by`
_MARKER = re.compile(rf"\b(?:if|provid|long\sas|condition|only|in|for|among|{_PEOPLE}|people|patients|those|any|every)")


class Condition(NamedTuple):
    """What the statement between two offsets depends on: keys and quantities, of which a paraphrase repeats one.

    The keys are of specific words, where it has any.
    """

    keys: frozenset[str]
    quantities: tuple[Quantity, ...]
    start: int
    end: int


def read_conditions(text: str, words: Sequence[Word], quantities: Sequence[Quantity]) -> tuple[Condition, ...]:
    """The conditions of a lowered sentence; `words` are its content words."""
    if not _MARKER.search(text):
        return ()
    edges = [match.start() for match in _EDGE.finditer(text)]
    found = []
    for start, end in _spans(text, edges, words):
        low, high = _governed(text, edges, start, end)
        around = {word.key for word in words if low <= word.start < high and not start <= word.start < end}
        within = [word for word in words if start <= word.start < end and word.key not in around]
        telling = [word for word in within if word.kind == "specific"] or within
        inside = tuple(each for each in quantities if start <= each.start < end)
        if telling or inside:
            found.append(Condition(frozenset(word.key for word in telling), inside, low, high))
    for each in quantities:
        if each.bound and _AGED.search(text, 0, each.start):
            low, high = _governed(text, edges, each.start, each.end)
            found.append(Condition(frozenset(), (each,), low, high))
    return tuple(found)


def _spans(text: str, edges: Sequence[int], words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    for match in _IF.finditer(text):
        stop = _STOP.search(text, match.end())
        yield match.start(), stop.start() if stop else len(text)
    for match in _POPULATION.finditer(text):
        qualified = _QUALIFIED.match(text, match.end())
        yield match.start(), _next(edges, match.end(), text) if qualified else match.end()
    if (subject := _ONLY_SUBJECT.search(text)) is not None:
        yield subject.span("who")
    for match in _ONLY.finditer(text):
        behind = [word for word in words if word.start >= match.end()][:_MOST_ONLY]
        if behind:
            yield match.end(), min(behind[-1].start + 1, _next(edges, match.end(), text))


def _next(edges: Sequence[int], place: int, text: str) -> int:
    return next((edge for edge in edges if edge >= place), len(text))


def _governed(text: str, edges: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """The clause around a condition, or the following one where the condition is a clause in front."""
    edge = max((edge for edge in (0, *edges) if edge < start and text[edge:start].strip(" ,")), default=start)
    if not _BEGIN.fullmatch(text, edge, start):
        return edge, _next(edges, end, text)
    turn = _TURN.search(text, end)
    return start, turn.start() if turn else len(text)

"""The head of one sentence with the tail of another: all of its words stand in the source, and the source says no such thing.

A model that copies slips from one sentence into the next. Only words copied in their order are looked at; where a whole
clause ends and another begins, two sentences are joined and none is spliced.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(r"[^\W_]+(?:[.,'’-][^\W_]+)*|[,;:()]")
_MARKS = frozenset(",;:()")
_JOINS = frozenset("and but while whereas because since if when unless which who although so then".split())
_BARE = frozenset(
    """it they this these those he she such the its their both also however therefore drug medicine dose treatment condition
    disease patient patients""".split()
)
_LEAST_HEAD = 2  # words of the head
_LEAST_TAIL = 3
_MOST_SUBJECT = 4  # words before the tail that may stand for its subject (`it`, `this drug`)


class Copied(NamedTuple):
    """How far a sentence is copied from one of the source: words from its front and from its back."""

    tokens: tuple[str, ...]
    head: int
    tail: int


def tokens_of(text: str) -> tuple[str, ...]:
    """The words and commas of a lowered sentence."""
    return tuple(_TOKEN.findall(text))


def is_spliced(said: Sequence[str], sources: Sequence[Sequence[str]]) -> bool:
    """Whether `said` is the head of one source sentence and the tail of another one, cut within a clause of either."""
    copied = [_copied(tuple(said), tuple(source)) for source in sources]
    if any(each.head + each.tail >= len(said) for each in copied):
        return False  # one sentence, whole or shortened
    spliced = False
    for one in copied:
        for other in copied:
            if one is other or one.head < _LEAST_HEAD or other.tail < _LEAST_TAIL or one.head + other.tail < len(said):
                continue
            places = range(len(said) - other.tail, one.head + 1)
            if any(_is_joint(said, place, one.tokens, other.tokens) for place in places):
                return False
            spliced = True
    return spliced


def _copied(said: tuple[str, ...], source: tuple[str, ...]) -> Copied:
    head = next((size for size in range(len(said), 0, -1) if _find(said[:size], source) is not None), 0)
    tail = next((size for size in range(len(said), 0, -1) if _find(said[-size:], source) is not None), 0)
    return Copied(source, head, tail)


def _find(part: tuple[str, ...], source: tuple[str, ...]) -> int | None:
    size = len(part)
    places = (place for place in range(len(source) - size + 1) if source[place] == part[0])
    return next((place for place in places if source[place : place + size] == part), None)


def _is_joint(said: Sequence[str], place: int, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a clause of `one` ends at a place of `said`, and a clause of `other`, or all but its subject, begins there."""
    head, tail = tuple(said[:place]), tuple(said[place:])
    if not head or not tail:
        return True
    ended, begun = _find(head, one), _find(tail, other)
    if ended is None or begun is None:
        return False
    following = one[ended + len(head) : ended + len(head) + 1]
    ends = not following or following[0] in _MARKS | _JOINS or head[-1] in _MARKS
    before = other[:begun]
    begins = not before or before[-1] in _MARKS or tail[0] in _MARKS | _JOINS
    has_bare_subject = 0 < len(before) <= _MOST_SUBJECT and _BARE.issuperset(before)
    return (ends and begins) or has_bare_subject

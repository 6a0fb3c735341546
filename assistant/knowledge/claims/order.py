"""What small words put in order: `before surgery` is not `after surgery`, nor is the `first dose` the `second dose`."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from assistant.knowledge.claims.lexicon import Word

Family = Literal["time", "rank"]

_TIMES = frozenset({"before", "after"})
_RANKS = frozenset("first second third fourth fifth sixth seventh eighth ninth tenth".split())
_REACH = 5  # words behind in which a small word's own ones are sought
_MOST_OBJECTS = 2


class Anchor(NamedTuple):
    """A small word that orders, and the keys of what it stands before."""

    family: Family
    relation: str
    objects: frozenset[str]
    start: int

    def turns(self, other: "Anchor") -> bool:
        """Whether the same thing is put in another place."""
        return self.family == other.family and self.relation != other.relation and self.is_on(other)

    def is_on(self, other: "Anchor") -> bool:
        """Whether both speak of the same thing."""
        return not self.objects.isdisjoint(other.objects)


def read_anchors(text: str, words: Sequence[Word]) -> tuple[Anchor, ...]:
    """The anchors of a lowered sentence; `words` are all of it."""
    found = []
    for place, word in enumerate(words):
        family: Family | None = "time" if word.text in _TIMES else "rank" if word.text in _RANKS else None
        if family is not None:
            behind = _behind(text, words, place, 1 if family == "rank" else _REACH)
            if behind:
                found.append(Anchor(family, word.text, behind, word.start))
    return tuple(found)


def _behind(text: str, words: Sequence[Word], place: int, reach: int) -> frozenset[str]:
    keys: list[str] = []
    last = words[place]
    for word in words[place + 1 : place + 1 + reach]:
        between = text[last.start + len(last.text) : word.start]
        if any(mark in between for mark in ",;:()") or word.text in {"and", "or", "but"}:
            break
        if word.kind != "function":
            keys.append(word.key)
        last = word
    return frozenset(keys[:_MOST_OBJECTS])

"""Phrases of the data files, and where they stand in a text.

Each word is looked up once, and with each of the few behind it, so time grows with the text only.

`a/b` is either word, `pain*` any ending, `..` up to four words between and `.` one; a phrase stays within a sentence.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from assistant.safety.words import Token, folded

GAPS = {"..": 4, ".": 1}
"""Words that may stand between."""
_MOST_GAP = max(GAPS.values())
_LOOSE = frozenset("-/")
"""Marks that join words: chest-pain, jaw/arm pain."""
_CLOSED = frozenset("()")
_SHORTEST_STEM = 3
_FARTHEST = 3 * _MOST_GAP
"""Words that are looked at for the next one of a phrase, those that count for nothing among them."""
_COMMA_COST = 3
"""Words that a comma in a gap stands for: "sudden, severe headache", but not across the items of a list."""


class Element(NamedTuple):
    """One word of a phrase: which it may be, and how many words may stand before it."""

    words: frozenset[str]
    stems: tuple[str, ...]
    gap: int


class Found(NamedTuple):
    """A phrase in a text: its name, and the places of its words among the tokens."""

    name: str
    places: tuple[int, ...]

    @property
    def first(self) -> int:
        """The place of its first word."""
        return self.places[0]

    @property
    def last(self) -> int:
        """The place of its last word."""
        return self.places[-1]


class _Read(NamedTuple):
    """A word of a text that is looked at, and how much of a gap it takes."""

    word: str
    sentence: int
    place: int
    cost: int


class _Opening:
    """The phrases that begin with one word: those of no other, and the rest by what their second word may be."""

    def __init__(self) -> None:
        self.alone: list[str] = []
        self.by_second: dict[str, list[tuple[str, tuple[Element, ...]]]] = defaultdict(list)

    def add(self, name: str, elements: tuple[Element, ...]) -> None:
        """Take in one phrase."""
        if len(elements) == 1:
            self.alone.append(name)
            return
        for key in {*elements[1].words, *(_stem_key(stem) for stem in elements[1].stems)}:
            self.by_second[key].append((name, elements))


class Lexicon:
    """Named phrases, found by their first two words.

    Words of `skipped` count neither in texts nor in phrases, but for those that a phrase names beside others:
    "is" in "looks/is septic".
    """

    def __init__(self, phrases: Mapping[str, Sequence[str]], skipped: frozenset[str]) -> None:
        parsed = [(name, parse_phrase(phrase, skipped | _LOOSE)) for name, group in phrases.items() for phrase in group]
        self._light = skipped.intersection(word for _, each in parsed for element in each for word in element.words)
        self._skipped = (skipped | _LOOSE) - self._light
        self._by_word: dict[str, _Opening] = defaultdict(_Opening)
        self._by_stem: dict[str, dict[str, _Opening]] = defaultdict(lambda: defaultdict(_Opening))
        for name, elements in parsed:
            self._add(name, elements)

    def _add(self, name: str, elements: tuple[Element, ...]) -> None:
        for word in elements[0].words:
            self._by_word[word].add(name, elements)
        for stem in elements[0].stems:
            self._by_stem[_stem_key(stem)][stem].add(name, elements)

    def knows(self, word: str) -> bool:
        """Whether some phrase begins with the word."""
        return bool(self._beginning_with(word))

    def find(self, tokens: Sequence[Token], sentences: Container[int] | None = None) -> Iterator[Found]:
        """All phrases in the order of their first words; of some sentences only, where they are given."""
        costs = dict.fromkeys(self._light, 0) | {",": _COMMA_COST}
        read = [
            _Read(token[0], token[3], place, costs.get(token[0], 1))
            for place, token in enumerate(tokens)
            if token[0] not in self._skipped and (sentences is None or token[3] in sentences)
        ]
        for at, (word, _, place, _) in enumerate(read):
            for opening in self._beginning_with(word):
                for name in opening.alone:
                    yield Found(name, (place,))
                if opening.by_second:
                    yield from _continued(opening, read, at)

    def _beginning_with(self, word: str) -> list[_Opening]:
        found = [self._by_word[word]] if word in self._by_word else []
        key = _stem_key(word)
        if key in self._by_stem:
            found += [opening for stem, opening in self._by_stem[key].items() if word.startswith(stem)]
        return found


def _continued(opening: _Opening, read: Sequence[_Read], at: int) -> Iterator[Found]:
    """The phrases whose second word is one of the few behind the first."""
    sentence, tried, left = read[at][1], set(), _MOST_GAP
    for word, its, _, cost in read[at + 1 : at + 1 + _FARTHEST]:
        if its != sentence or left < 0:
            return
        left -= min(cost, 1)
        for key in (word, _stem_key(word)):
            if key in opening.by_second and key not in tried:
                tried.add(key)
                for name, elements in opening.by_second[key]:
                    if (rest := _follow(elements, 1, read, at + 1)) is not None:
                        yield Found(name, (read[at][2], *rest))


def _stem_key(word: str) -> str:
    """What stems and the words that may begin with them have in common; no word ends with an asterisk."""
    return word[:_SHORTEST_STEM] + "*"


def parse_phrase(phrase: str, skipped: frozenset[str]) -> tuple[Element, ...]:
    """The elements of a phrase; one that is a word of `skipped` alone is left out.

    Raises ValueError where a word alone is left of several, or none, or a stem is too short.
    """
    elements, gap = [], 0
    for piece in phrase.split():
        if piece in GAPS:
            gap = GAPS[piece]
            continue
        words = [folded(word) for word in piece.split("/")]
        if piece not in skipped:
            stems = tuple(word[:-1] for word in words if word.endswith("*"))
            if any(len(stem) < _SHORTEST_STEM for stem in stems):
                raise ValueError(f"phrase {phrase!r} has a stem too short to look up; give {_SHORTEST_STEM} letters")
            elements.append(Element(frozenset(word for word in words if not word.endswith("*")), stems, gap))
            gap = 0
    if not elements or (len(elements) == 1 and len(set(phrase.split()) - set(GAPS)) > 1):
        raise ValueError(f"phrase {phrase!r} is left with {len(elements)} words that count; write it otherwise")
    return tuple(elements)


def _follow(elements: tuple[Element, ...], number: int, read: Sequence[_Read], at: int) -> tuple[int, ...] | None:
    """The places of the elements from `number` on, each as near as it comes within its gap; None where they do not fit."""
    if number == len(elements):
        return ()
    (words, stems, left), sentence = elements[number], read[at - 1][1]
    for here in range(at, min(len(read), at + _FARTHEST)):
        word, its, place, cost = read[here]
        if its != sentence or word in _CLOSED:
            return None
        if word in words or (stems and word.startswith(stems)):
            rest = _follow(elements, number + 1, read, here + 1)
            if rest is not None:
                return (place, *rest)
        left -= cost
        if left < 0:
            return None
    return None

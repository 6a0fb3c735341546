"""The subject of a question: its words, each with all that says the same, put right where the library spells it otherwise."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import product

from assistant.knowledge.abbreviations import expansions
from assistant.knowledge.words import fold, is_content, words

_MOST_WORDS = 64
"""Of a long text the longest words, the rarest as a rule, and all that has other names: each costs several look-ups."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Term:
    """A word of the subject; a document that holds any of its `forms` (words or phrases, folded) holds it."""

    word: str
    forms: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """One way to understand a text. `chosen` are the forms that tell it from the other ways."""

    terms: tuple[Term, ...]
    chosen: tuple[str, ...]
    _right: Mapping[str, str]

    def put_right(self, text: str) -> str:
        """The text with its misspelled words replaced."""
        return _WORD.sub(lambda found: self._right.get(fold(found[0]), found[0]), text) if self._right else text


@dataclass(frozen=True)
class _Word:
    """A word with what else it may be: alternatives, of which each reading takes one."""

    word: str
    forms: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...]
    misspelled: bool


def read(
    text: str, holds: Callable[[str], bool], near: Callable[[str], Collection[str]], most: int
) -> tuple[Reading, ...]:
    """All readings of a text, one unless an abbreviation or a misspelling leaves several.

    `holds` says whether the library has a word or phrase, `near` what it has that is spelled nearly so. Where more than
    `most` would result, the words that make too many are read in all ways at once.
    """
    found = _words(text, holds, near)
    ways: list[range] = []
    count = 1
    for word in found:
        several = max(1, len(word.alternatives))
        fits = count * several <= most
        count *= several if fits else 1
        ways.append(range(several if fits else 1))
    split = {word.word for word, way in zip(found, ways, strict=True) if len(way) > 1}
    return tuple(_reading(found, split, choice) for choice in product(*ways))


def _reading(found: list[_Word], split: set[str], choice: tuple[int, ...]) -> Reading:
    terms: list[Term] = []
    chosen: list[str] = []
    right: dict[str, str] = {}
    for word, taken in zip(found, choice, strict=True):
        options = word.alternatives[taken : taken + 1] if word.word in split else word.alternatives
        names = [name for option in options for name in option]
        terms.append(Term(word.word, tuple(dict.fromkeys((*word.forms, *names)))))
        if word.word in split:
            chosen += names
        if word.misspelled and len(names) == 1:
            right[word.word] = names[0]
    return Reading(tuple(terms), tuple(chosen), right)


def _words(text: str, holds: Callable[[str], bool], near: Callable[[str], Collection[str]]) -> list[_Word]:
    run = words(text)
    alternatives = _alternatives(text)
    longest = sorted({word for word in run if is_content(word)}, key=lambda word: (-len(word), word))[:_MOST_WORDS]
    kept = {*longest, *(run[place] for place in alternatives)}
    found: dict[str, _Word] = {}
    for place, word in enumerate(run):
        others = alternatives.get(place, ())
        if word in found or word not in kept or not (is_content(word) or others):
            continue
        # `ALL` and `AS` are looked for by what they stand for only.
        forms = [word] if is_content(word) else []
        forms += [joined for joined in _joined(run, place) if holds(joined)]
        known = any(map(holds, forms)) or any(holds(name) for names in others for name in names)
        nearest = () if known else tuple((name,) for name in near(word))
        found[word] = _Word(word, tuple(forms), others or nearest, bool(nearest))
    return list(found.values())


def _alternatives(text: str) -> dict[int, tuple[tuple[str, ...], ...]]:
    """By place of a word: the other names of what it is, or is part of, by meaning."""
    return {
        place: expansion.readings for expansion in expansions(text) for place in range(expansion.start, expansion.end)
    }


def _joined(run: list[str], place: int) -> list[str]:
    """The word written in one with its neighbours: `pre eclampsia` also as `preeclampsia`."""
    pairs = ((place - 1, place), (place, place + 1))
    return [run[first] + run[second] for first, second in pairs if first >= 0 and second < len(run)]

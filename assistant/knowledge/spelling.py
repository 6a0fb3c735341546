"""Spelling: the words of a library that a word which it does not hold may have been meant for.

Never one medicine for another: a name that is spelled right stays what it is, whether or not the library holds it, and of
several names that are equally near all are kept.
"""

from collections import defaultdict
from collections.abc import Iterable

_SHORTEST = 5  # letters of a word that may be misspelled: shorter ones are near to too many others
_TWO_FAULTS = 8  # letters from which a word may hold two faults
_SHORTEST_HALF = 3  # letters of each half of a word that should have been two


class Speller:
    """The words that a misspelled one may stand for, by length."""

    def __init__(self, vocabulary: Iterable[str], medicines: frozenset[str]) -> None:
        """All words are folded. Medicines count whether or not the library holds them: else what is meant for one that
        it lacks would be taken for another.
        """
        self._words = medicines.union(vocabulary)
        self._by_length: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
        for word in sorted(self._words):
            if len(word) >= _SHORTEST and word.isalpha():
                self._by_length[len(word)].append((word, _letters(word)))

    def near(self, word: str) -> tuple[str, ...]:
        """All words one fault away, else the two that it runs together, else all two faults away; sorted."""
        if len(word) < _SHORTEST or not word.isalpha() or word in self._words:
            return ()
        found = self._nearest(word)
        return found if found or not word.endswith("s") else self._nearest(word[:-1])

    def _nearest(self, word: str) -> tuple[str, ...]:
        most = 2 if len(word) >= _TWO_FAULTS else 1
        faults = {candidate: _faults(word, candidate, most) for candidate in self._alike(word, most)}
        one = [candidate for candidate, count in faults.items() if count == 1]
        return tuple(sorted(one or self._halves(word) or [other for other, count in faults.items() if count <= most]))

    def _alike(self, word: str, most: int) -> list[str]:
        """Words of a like length whose letters differ little enough: an edit changes one letter of either at most."""
        letters = _letters(word)
        return [
            candidate
            for length in range(len(word) - most, len(word) + most + 1)
            for candidate, others in self._by_length.get(length, ())
            if (letters & ~others).bit_count() <= most and (others & ~letters).bit_count() <= most
        ]

    def _halves(self, word: str) -> list[str]:
        cuts = range(_SHORTEST_HALF, len(word) - _SHORTEST_HALF + 1)
        pairs = ((word[:cut], word[cut:]) for cut in cuts)
        return [f"{first} {second}" for first, second in pairs if first in self._words and second in self._words]


def _letters(word: str) -> int:
    """The set of the word's letters, a bit each."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 64)
    return bits


def _faults(word: str, other: str, most: int) -> int:
    """Edits between two words: letters added, lost, changed, or exchanged with their neighbour; above `most` inexact.

    The restricted Damerau-Levenshtein distance (Boytsov 2011, section 2), row by row.
    """
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, above = above, row
    return above[-1]

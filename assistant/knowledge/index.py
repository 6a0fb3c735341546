"""The index that a search goes over: one library or several, ranked by BM25 as if they were one.

FTS5 scores a word by how rare it is in its own table, so that scores of two libraries do not compare: in one of sixty
documents nothing is as rare as in one of six thousand. Where several are searched, each word's part of the score is
brought to its rarity among all documents; how long a document is stays measured by the average of its own library.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from assistant.knowledge.library import Document, LibraryPassage
from assistant.knowledge.medicines import drug_names
from assistant.knowledge.spelling import Speller
from assistant.knowledge.volume import Table, Volume
from assistant.knowledge.words import words

LEAST_DOCUMENTS = 50
"""Of fewer, none tells how rare a word is: what the only one says would be the commonest of all."""
MOST_HOLDERS = 2000
"""Documents that hold a word, above which it tells none of them from the others and is not worth a list."""
_ID = re.compile(r"(?P<library>[^/#@]+)/(?P<document>[^/#@]+)#\d{1,6}@[0-9a-f]+")
_LEAST_RARITY = 1e-6  # FTS5's own, of a word that half of the documents or more hold


class Index:
    """Documents and passages of all volumes, each with a number of this index: a row, and the place of its volume."""

    def __init__(self, volumes: Sequence[Volume], left_out: Mapping[str, str] = MappingProxyType({})) -> None:
        self._volumes = tuple(volumes)
        self.left_out = left_out
        """Libraries that would belong to it, had they been readable, and why they are not."""
        self._speller: Speller | None = None
        self.count = max(self._total("document_words"), LEAST_DOCUMENTS)
        """Of documents; by it a word is judged to be rare, so that a library of three counts as a larger one."""

    @property
    def versions(self) -> dict[str, str]:
        """Each library's version by its name."""
        return {volume.library: volume.version for volume in self._volumes}

    def rank_documents(self, terms: Iterable[str], phrases: Iterable[str], among: Iterable[int]) -> dict[int, float]:
        """Document number to score (above 0, larger is better), best first, of those `among` which any term is found.

        A term, a word or phrase, counts wherever it stands and once more in title or keywords, where alone a phrase counts.
        """
        found = list(terms)
        query = [_quoted(term) for term in found]
        query += [_in_names(term) for term in dict.fromkeys((*found, *phrases))]
        rows = self._by_volume(among)
        scores = {
            self._number(place, row): score
            for place, weighed in enumerate(self._weigh("document_words", query))
            for row, score in self._volumes[place].rank_documents(weighed, rows[place]).items()
        }
        return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))

    def rank_passages(self, terms: Iterable[str], documents: Iterable[int]) -> dict[tuple[int, int], float]:
        """(Document number, place of the passage in it from 0) to score within these documents, best first.

        Any of the words or phrases counts.
        """
        rows = self._by_volume(documents)
        scores = {
            (self._number(place, row), passage): score
            for place, weighed in enumerate(self._weigh("passage_words", [*map(_quoted, terms)]))
            for (row, passage), score in self._volumes[place].rank_passages(weighed, rows[place]).items()
        }
        return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))

    def document(self, number: int) -> Document:
        """The document of that number, read when it is asked for."""
        place, row = self._place(number)
        return self._volumes[place].document(row)

    def titles(self, numbers: Iterable[int]) -> dict[int, str]:
        """The title of each of these documents."""
        return {
            self._number(place, row): title
            for place, rows in enumerate(self._by_volume(numbers))
            for row, title in self._volumes[place].titles(rows).items()
        }

    def passage(self, name: str) -> LibraryPassage | None:
        """The passage of that id, or None: it is in no library here, or its text has changed since."""
        match = _ID.fullmatch(name)
        if match is None:
            return None
        for volume in self._volumes:
            if volume.library == match["library"] and (row := volume.find(match["document"])) is not None:
                return next((each for each in volume.document(row).passages if each.id == name), None)
        return None

    def holds(self, term: str) -> bool:
        """Whether any document holds the word or phrase in any column: much less work than who does."""
        return any(volume.holders(_quoted(term), 1) for volume in self._volumes)

    def holders(self, term: str) -> frozenset[int] | None:
        """Numbers of the documents that hold the word or phrase in any column; None where over `MOST_HOLDERS` do."""
        numbers = self._matching(_quoted(term), MOST_HOLDERS + 1)
        return None if len(numbers) > MOST_HOLDERS else numbers

    def named(self, term: str) -> frozenset[int]:
        """Numbers of the first `MOST_HOLDERS` documents that hold the word or phrase in title or keywords."""
        return self._matching(_in_names(term), MOST_HOLDERS)

    def near(self, word: str) -> tuple[str, ...]:
        """The names of conditions and medicines in this index that the word may be a misspelling of."""
        if self._speller is None:
            names = (name for volume in self._volumes for name in volume.names())
            self._speller = Speller({each for name in names for each in words(name)}, drug_names())
        return self._speller.near(word)

    def _matching(self, match: str, most: int) -> frozenset[int]:
        found: list[int] = []
        several = len(self._volumes)
        for place, volume in enumerate(self._volumes):
            found += [row * several + place for row in volume.holders(match, most - len(found))]
        return frozenset(found)

    def _weigh(self, table: Table, terms: Sequence[str]) -> list[Mapping[float, Sequence[str]]]:
        """For each volume its terms by what their scores there have to be multiplied by."""
        total = max(self._total(table), LEAST_DOCUMENTS)
        if len(self._volumes) == 1 and self._total(table) == total:
            return [{1.0: terms} if terms else {}]
        weighed: list[dict[float, list[str]]] = [{} for _ in self._volumes]
        for term, *held in zip(terms, *(volume.hit_counts(table, terms) for volume in self._volumes), strict=True):
            among_all = _rarity(total, sum(held))
            for volume, count, groups in zip(self._volumes, held, weighed, strict=True):
                if count:
                    groups.setdefault(among_all / _rarity(volume.counts[table], count), []).append(term)
        return list(weighed)

    def _total(self, table: Table) -> int:
        return sum(volume.counts[table] for volume in self._volumes)

    def _by_volume(self, numbers: Iterable[int]) -> list[list[int]]:
        """The rows behind numbers of documents, for each volume in order."""
        rows: list[list[int]] = [[] for _ in self._volumes]
        for place, row in map(self._place, sorted(numbers)):
            rows[place].append(row)
        return rows

    def _number(self, place: int, row: int) -> int:
        return row * len(self._volumes) + place

    def _place(self, number: int) -> tuple[int, int]:
        row, place = divmod(number, len(self._volumes))
        return place, row


def _rarity(count: int, holders: int) -> float:
    """Inverse document frequency as FTS5's bm25() has it; a damaged index may know more holders than there are documents."""
    return max(math.log((max(count - holders, 0) + 0.5) / (holders + 0.5)), 0.0) or _LEAST_RARITY


def _in_names(term: str) -> str:
    return f"{{title keywords}} : {_quoted(term)}"


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'

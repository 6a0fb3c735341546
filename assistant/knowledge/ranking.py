"""Which documents a text is about: those that hold most of its subject, ranked by how well they fit its words."""

import math
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from heapq import nlargest

from assistant.knowledge.index import MOST_HOLDERS, Index
from assistant.knowledge.medicines import drug_names
from assistant.knowledge.subject import Reading, Term, read
from assistant.knowledge.words import is_subject, phrases, words

# Of a question's subject one document must hold this share in title or keywords, ...
_NAMED_FLOOR = 0.35
# ... or this share anywhere, and more where more documents can hold some of its words by chance (by each factor e), ...
_HELD_FLOOR, _HELD_FLOOR_RISE, _SMALL_LIBRARY = 0.35, 0.05, 100
# ... or so many words that no other holds: a long description may not reach a share.
_WORDS_FLOOR = 1.65
_READING_FLOOR = 0.6  # share of the best reading's coverage below which another reading is not what was meant
_ASKED_WEIGHT = 0.35  # what a word counts for that says which side of a subject is asked about
_CANDIDATES = 100  # documents that are ranked in earnest, ...
_LOOKED_INTO = 40  # ... and of these, those whose passages are
_MOST_READINGS = 4  # of a question; any other text is read in all ways at once
_MOST_TELLING = 16  # terms that rank; a long note has more, but its rarest say what it is about
_MOST_PHRASES = 24
_NAMED_WHOLLY = 0.6  # what the words of a title count for beyond that where the text has them all
_MOST_TITLES = 10_000
_WHOLE_SHARE = 0.2  # of a document's own score beside its best passage's, where no title names the subject


@dataclass(frozen=True)
class Ranked:
    """Documents by one reading of a text, best first, the best at 1.0.

    `coverage` is the share of the reading's subject that one document holds; `telling` are the terms that ranked them.
    """

    reading: Reading
    scores: dict[int, float]
    coverage: float
    telling: tuple[Term, ...]


@dataclass(frozen=True)
class _Held:
    """Document number to the weight of the terms that it holds, and that its title holds; the weight of all terms."""

    weights: dict[int, float]
    named: dict[int, float]
    total: float
    telling: tuple[Term, ...]
    """The heaviest terms that any document holds."""
    rare: tuple[Term, ...]
    """Those of them that not very many hold."""

    @property
    def best(self) -> float:
        return max(self.weights.values(), default=0.0)

    @property
    def best_named(self) -> float:
        return max(self.named.values(), default=0.0)


def rank(index: Index, text: str, *, is_question: bool = True) -> list[Ranked]:
    """The documents by each reading that the library covers about as well as the best covered one.

    A question has none where the library does not cover its subject; any other text only weighs what a question finds.
    """
    most_readings = _MOST_READINGS if is_question else 1
    readings = read(text, index.holds, index.near, most_readings)
    ranked = [one for reading in readings if (one := _by_reading(index, reading, text, is_question)) is not None]
    most = max((one.coverage for one in ranked), default=0.0)
    return [one for one in ranked if one.coverage >= _READING_FLOOR * most]


def telling_phrases(text: str, telling: Set[str]) -> list[str]:
    """The text's first phrases that hold one of these words."""
    return [phrase for phrase in phrases(text) if not telling.isdisjoint(phrase.split())][:_MOST_PHRASES]


def _by_reading(index: Index, reading: Reading, text: str, is_question: bool) -> Ranked | None:
    held = _held(index, reading.terms)
    if held.best <= 0.0 or (is_question and not (_covers(index.count, held) or _names_a_title(index, reading.terms))):
        return None
    candidates = nlargest(
        _CANDIDATES, held.weights, key=lambda number: (held.weights[number] + held.named.get(number, 0.0), -number)
    )
    scores = _scores(index, held, reading.put_right(text), candidates)
    whole = _named_wholly(index, reading.terms, [number for number in scores if number in held.named])
    weighed = {
        number: score * (held.weights[number] + (_NAMED_WHOLLY * held.named[number] if number in whole else 0.0))
        for number, score in scores.items()
    }
    top = max(weighed.values(), default=0.0)
    if top <= 0.0:
        return None
    ordered = sorted(weighed.items(), key=lambda item: (-item[1], item[0]))
    shares = {number: score / top for number, score in ordered}
    return Ranked(reading, shares, held.best / held.total, held.telling)


def _scores(index: Index, held: _Held, text: str, candidates: Sequence[int]) -> dict[int, float]:
    """Score by document: its BM25, and that of its best passage the more, the less of the subject any title names.

    A title that names the subject tells what a document is about; where none does, the subject is described, and the
    description stands together in one passage.
    """
    forms = dict.fromkeys(form for term in held.rare or held.telling for form in term.forms)
    runs = telling_phrases(text, {word for form in forms for word in form.split()})
    whole = index.rank_documents(forms, runs, candidates)
    passages: dict[int, float] = {}
    likeliest = sorted(whole, key=lambda number: (-whole[number] * held.weights[number], number))[:_LOOKED_INTO]
    for (number, _), score in index.rank_passages(dict.fromkeys((*forms, *runs)), likeliest).items():
        passages[number] = max(passages.get(number, 0.0), score)
    share = _WHOLE_SHARE + (1.0 - _WHOLE_SHARE) * min(1.0, held.best_named / held.total)
    best_whole, best_passage = (max(scores.values(), default=1.0) for scores in (whole, passages))
    return {
        number: share * score / best_whole + (1.0 - share) * passages.get(number, 0.0) / best_passage
        for number, score in whole.items()
    }


def _covers(count: int, held: _Held) -> bool:
    """Whether a library of so many documents covers a subject."""
    share = _HELD_FLOOR + _HELD_FLOOR_RISE * math.log(max(1.0, count / _SMALL_LIBRARY))
    enough = min(share * held.total, _WORDS_FLOOR * _weight(count, 0))
    return held.best_named >= _NAMED_FLOOR * held.total or held.best >= enough


def _names_a_title(index: Index, terms: Sequence[Term]) -> bool:
    """Whether the subject without its medicines is what a title says, as in `furosemide dose heart failure`.

    A medicine says what is done about a subject. Any other word that the library lacks may say which subject it is:
    `portal hypertension` is another than hypertension.
    """
    subject = [term for term in terms if is_subject(term.word)]
    rest = [term for term in subject if drug_names().isdisjoint(term.forms)]
    if not rest or len(rest) == len(subject):
        return False
    named = [frozenset[int]().union(*map(index.named, term.forms)) for term in rest]
    return bool(_named_wholly(index, rest, named[0].intersection(*named[1:])))


def _named_wholly(index: Index, terms: Sequence[Term], among: Collection[int]) -> frozenset[int]:
    """Those documents whose title says nothing of its subject but what these terms say."""
    said = {word for term in terms for form in term.forms for word in form.split()}
    return frozenset(number for number, title in index.titles(among).items() if said.issuperset(_subject_of(title)))


@lru_cache(_MOST_TITLES)
def _subject_of(title: str) -> frozenset[str]:
    """The words of a title that say what it is about, all of them where none does by itself."""
    found = words(title)
    return frozenset(filter(is_subject, found)) or frozenset(found)


def _held(index: Index, terms: Sequence[Term]) -> _Held:
    """Who holds what of a subject.

    A term weighs by its rarity. One that no document holds weighs most, so that `therapy` alone never answers a question
    on gene therapy. One that very many hold says nothing about any of them, unless the title holds it.
    """
    held: dict[int, float] = {}
    named: dict[int, float] = {}
    weights: dict[Term, float] = {}
    rare: set[Term] = set()
    for term in terms:
        in_names = frozenset[int]().union(*map(index.named, term.forms))
        found = [index.holders(form) for form in term.forms]
        common = any(numbers is None for numbers in found)
        holders = in_names if common else frozenset[int]().union(*(numbers for numbers in found if numbers))
        weight = _weight(index.count, MOST_HOLDERS if common else len(holders))
        weights[term] = weight = weight * (1.0 if is_subject(term.word) else _ASKED_WEIGHT)
        if not common:
            rare.add(term)
        for number in holders:
            held[number] = held.get(number, 0.0) + weight
        for number in in_names:
            named[number] = named.get(number, 0.0) + weight
    unknown = _weight(index.count, 0)
    telling = nlargest(_MOST_TELLING, (term for term in terms if weights[term] < unknown), key=weights.__getitem__)
    return _Held(held, named, sum(weights.values()), tuple(telling), tuple(term for term in telling if term in rare))


def _weight(count: int, holders: int) -> float:
    """The inverse document frequency of BM25: of a word that so many of all documents hold."""
    return math.log(1 + (count - holders + 0.5) / (holders + 0.5))

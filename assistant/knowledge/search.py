"""Search: rank the documents for the whole question, then within them the sections for each part of the question.

Deterministic: the same question over the same library gives the same passages in the same order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from assistant.knowledge.aspects import kinds_asked, kinds_of, kinds_wanted
from assistant.knowledge.conversation import Asked, in_conversation, without_courtesy
from assistant.knowledge.index import Index
from assistant.knowledge.library import LibraryPassage
from assistant.knowledge.ranking import Ranked, rank, telling_phrases
from assistant.knowledge.shorthand import written_out
from assistant.knowledge.words import content_words, question_parts, without_measurements, words

_NOTE_WEIGHT = 0.5  # how much a full fit with the patient note counts beside one with the question
_ONLY_MENTIONED = 0.5  # what one of several readings counts for that no title names
_MOST_PARTS = 8  # of a question, the last: what is asked stands behind the case
_MOST_DOCUMENTS = 12  # documents whose sections are looked at
_DOCUMENT_FLOOR = 0.4  # a document below this share of the best one's score is about something else
_PASSAGE_FLOOR = 0.4  # likewise for a passage
_OTHER_QUESTION = 0.5  # what a document counts for whose title asks something else
_BASE_SHARE = 0.2  # what every section of a document counts for
_OPENING_SHARE = 0.1  # what the first section, which says what the thing is, counts for beyond that
_TEXT_SHARE = 0.3  # what the section counts for that holds most of the question's words
_ASKED_SHARE = 0.4  # what a section counts for of the kind that the question asks for


@dataclass(frozen=True)
class Hit:
    """A passage found, with its score: 1.0 is the best section of the best document."""

    passage: LibraryPassage
    score: float


Forms = dict[str, tuple[str, ...]]
"""By word of a question all that says the same."""
_Part = tuple[frozenset[str], dict[tuple[int, int], float]]
"""Of one part of a question: the kinds of section that it asks for, and how well each passage fits its words."""


def search(
    index: Index, question: str, limit: int = 4, note: str | None = None, earlier: Sequence[str] = ()
) -> tuple[Hit, ...]:
    """The passages that fit the question best, at most `limit`; empty where the library does not cover its subject.

    The person's `earlier` questions, oldest first, say what it is about where it does not. A patient note counts for less
    than the question: it re-weights what the question finds.
    """
    question, note = _plainly(question), note and _plainly(note)
    question = without_courtesy(question) if earlier else question
    asked = in_conversation(question, [*map(written_out, earlier)])
    parts = question_parts(question)
    if not any(map(kinds_asked, parts)):
        parts = question_parts(asked.text)
    parts = parts[-_MOST_PARTS:]
    forms, scores = _documents(index, asked, note, frozenset[str]().union(*kinds_wanted(parts)))
    best = max(scores.values(), default=0.0)
    taken = {document: score / best for document, score in scores.items() if score >= _DOCUMENT_FLOOR * best > 0.0}
    hits = _sections(index, taken, parts, forms)
    top = max((hit.score for hit in hits), default=1.0)
    hits = [Hit(hit.passage, round(hit.score / top, 6)) for hit in hits]
    hits.sort(key=lambda hit: -round(hit.score, 1))  # near equals stay in the order of their document
    return tuple(_different(hit for hit in hits if hit.score >= _PASSAGE_FLOOR))[:limit]


def _plainly(text: str) -> str:
    return without_measurements(written_out(text))


def _different(hits: Iterable[Hit]) -> Iterator[Hit]:
    """What two documents of one title say in the same words, as where two libraries hold one text, is found once."""
    said = set()
    for hit in hits:
        words_of_it = (hit.passage.title, hit.passage.text)
        if words_of_it not in said:
            said.add(words_of_it)
            yield hit


def _documents(index: Index, asked: Asked, note: str | None, kinds: frozenset[str]) -> tuple[Forms, dict[int, float]]:
    """Score by document, best first, and the forms of the words by which they were found."""
    ranked = rank(index, asked.text) or (rank(index, asked.instead) if asked.instead else [])
    scores = _merged(index, ranked)
    if scores and asked.context:
        leaning = _merged(index, rank(index, asked.context, is_question=False))
        scores = {number: score + asked.weight * leaning.get(number, 0.0) for number, score in scores.items()}
    if note:
        noted = rank(index, note, is_question=False)
        for number, score in _merged(index, noted).items():
            scores[number] = scores.get(number, 0.0) + _NOTE_WEIGHT * score
        ranked += noted
    for number, title in index.titles(scores).items():
        if title.endswith("?") and kinds.isdisjoint(kinds_of("", title)):
            scores[number] *= _OTHER_QUESTION
    best_first = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:_MOST_DOCUMENTS]
    return {term.word: term.forms for one in ranked for term in one.telling}, dict(best_first)


def _merged(index: Index, ranked: Sequence[Ranked]) -> dict[int, float]:
    """One score by document. Readings stand side by side, one that the library only mentions as far as it holds it."""
    merged: dict[int, float] = {}
    for one in ranked:
        named = {number for form in one.reading.chosen for number in index.named(form)}
        share = 1.0 if len(ranked) == 1 or next(iter(one.scores)) in named else _ONLY_MENTIONED
        for number, score in one.scores.items():
            merged[number] = max(merged.get(number, 0.0), share * score)
    return merged


def _sections(index: Index, documents: dict[int, float], parts: Sequence[str], forms: Forms) -> list[Hit]:
    """The sections of each document, each scored by the part of the question that it fits best."""
    named = set(words(index.document(next(iter(documents))).title)) if documents else set()
    found: list[_Part] = []
    for part, kinds in zip(parts, kinds_wanted(parts), strict=True):
        terms = [form for word in content_words(part) if word not in named for form in forms.get(word, ())]
        terms += telling_phrases(part, forms.keys())
        found.append((kinds, index.rank_passages(dict.fromkeys(terms), documents)))
    scored = {number: _section_scores(index, number, found) for number in documents}
    best = max((max(scores) for scores in scored.values()), default=1.0)
    return [
        Hit(passage, weight * score / (max(scored[number]) + best))
        for number, weight in documents.items()
        for passage, score in zip(index.document(number).passages, scored[number], strict=True)
    ]


def _section_scores(index: Index, document: int, found: Sequence[_Part]) -> list[float]:
    passages = index.document(document).passages
    scores = [_BASE_SHARE] * len(passages)
    for kinds, ranks in found:
        fits = [ranks.get((document, place), 0.0) for place in range(len(passages))]
        top = max(fits) or 1.0
        for place, passage in enumerate(passages):
            score = _BASE_SHARE + _TEXT_SHARE * fits[place] / top + _OPENING_SHARE * (place == 0)
            score += _ASKED_SHARE * bool(kinds & kinds_of(passage.section, passage.title))
            scores[place] = max(scores[place], score)
    return scores

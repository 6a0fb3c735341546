"""Search: rank the documents for the whole question, then within them the sections for each part of the question.

Deterministic: the same question over the same library gives the same passages in the same order.
"""

import math
from dataclasses import dataclass

from assistant.knowledge.aspects import asks_for
from assistant.knowledge.index import MOST_HOLDERS, Index
from assistant.knowledge.library import LibraryPassage
from assistant.knowledge.words import content_words, phrases, question_parts, words

_NOTE_WEIGHT = 0.5  # how much the words of the patient note count beside those of the question
_COVERAGE_FLOOR = 0.35  # share of the question's subject that the best document must hold to be about it ...
_WEIGHT_FLOOR = (
    8.0  # ... or this much of it, two or three rare words, which a long case description may not reach as a share
)
_DOCUMENT_FLOOR = 0.4  # a document below this share of the best one's score is about something else
_PASSAGE_FLOOR = 0.4  # likewise for a passage
_BASE_SHARE = 0.2  # what every section of a document counts for
_OPENING_SHARE = 0.1  # what the first section, which says what the thing is, counts for beyond that
_TEXT_SHARE = 0.3  # what the section counts for that holds most of the question's words
_ASKED_SHARE = 0.4  # what a section counts for of the kind that the question asks for


@dataclass(frozen=True)
class Hit:
    """A passage found, with its score: 1.0 is the best section of the best document."""

    passage: LibraryPassage
    score: float


def search(index: Index, question: str, limit: int = 4, note: str | None = None) -> tuple[Hit, ...]:
    """The passages that fit the question best, at most `limit`; empty where the library does not cover its subject.

    A patient note counts for less than the question: it re-weights what the question finds.
    """
    scores = _rank_documents(index, question, note)
    if not scores:
        return ()
    best = max(scores.values())
    hits: list[Hit] = []
    for document, score in scores.items():
        if score >= _DOCUMENT_FLOOR * best:
            hits.extend(_rank_sections(index, document, question, score / best))
    hits.sort(key=lambda hit: -round(hit.score, 1))  # near equals stay in the order of their document
    return tuple(hit for hit in hits if hit.score >= _PASSAGE_FLOOR)[:limit]


def _rank_documents(index: Index, question: str, note: str | None) -> dict[int, float]:
    """Score by document, best first: BM25 times the share of the subject that the document holds."""
    scores = _subject_scores(index, question)
    if note:
        for document, score in _subject_scores(index, note, is_question=False).items():
            scores[document] = scores.get(document, 0.0) + _NOTE_WEIGHT * score
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def _subject_scores(index: Index, text: str, *, is_question: bool = True) -> dict[int, float]:
    subject = content_words(text)
    held, total = _held_weights(index, subject)
    best = max(held.values(), default=0.0)
    if best <= 0.0 or (is_question and best < min(_COVERAGE_FLOOR * total, _WEIGHT_FLOOR)):
        return {}
    scores = index.rank_documents(subject, phrases(text), held)
    return {document: score * held.get(document, 0.0) / total for document, score in scores.items()}


def _held_weights(index: Index, subject: list[str]) -> tuple[dict[int, float], float]:
    """Document number to the weight of the subject's words that it holds, and the weight of them all.

    A word weighs by its rarity. One that no document holds weighs most, so that `therapy` alone never answers a
    question on gene therapy.
    """
    count = index.count
    held: dict[int, float] = {}
    total = 0.0
    for word in subject:
        holders = index.holders(word)
        if holders is None:  # it tells no document from another
            total += math.log(1 + (count - MOST_HOLDERS + 0.5) / (MOST_HOLDERS + 0.5))
            continue
        weight = math.log(1 + (count - len(holders) + 0.5) / (len(holders) + 0.5))
        total += weight
        for document in holders:
            held[document] = held.get(document, 0.0) + weight
    return held, total


def _rank_sections(index: Index, document: int, question: str, weight: float) -> list[Hit]:
    """The sections of one document, each scored by the part of the question that it fits best."""
    source = index.document(document)
    named = set(words(source.title))
    scores = [_BASE_SHARE] * len(source.passages)
    for part in question_parts(question):
        terms = [word for word in content_words(part) if word not in named] + phrases(part)
        found = index.rank_passages(terms, [document])
        top = max(found.values(), default=1.0)
        for place, passage in enumerate(source.passages):
            score = _BASE_SHARE + _TEXT_SHARE * found.get((document, place), 0.0) / top
            score += _OPENING_SHARE * (place == 0) + _ASKED_SHARE * asks_for(part, passage.section)
            scores[place] = max(scores[place], score)
    weight /= max(scores)
    return [Hit(passage, round(weight * score, 6)) for passage, score in zip(source.passages, scores, strict=True)]

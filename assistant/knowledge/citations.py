"""The check of an answer: is each sentence supported by the passage that it cites?

A sentence that stands in the passage is supported. Any other must share most of its words with it and bring no number,
unit, drug name, negation or long word (mostly a term, or one that a small model made up) that the passage does not
hold. This finds what words can show and nothing more: a sentence that passes can still mislead, one that fails can
still be true.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from assistant.knowledge.claims import Claim, cited_numbers, claim, normalized
from models.grounding import NO_ANSWER, Passage
from models.sentences import Sentence, split_sentences

Status = Literal["supported", "unsupported", "uncited"]
Reason = Literal["number", "unit", "drug", "negation", "overlap"]

_T = TypeVar("_T")

_PASSAGE_OVERLAP = 0.8  # share of a sentence's words that must stand in the cited passages
_SENTENCE_OVERLAP = 0.7  # share that must stand together in one sentence of theirs: a splice of two claims is neither
_TERM_LETTERS = 6  # a stem of this length that the passages do not hold is taken for a term of its own


@dataclass(frozen=True)
class Check:
    """The verdict on one sentence; `start` and `end` are code points of the answer, end exclusive.

    `by` is `model` where the sentence cites by itself, `host` where it does not and this check found its passage.
    """

    start: int
    end: int
    cites: tuple[int, ...]
    by: Literal["model", "host"]
    status: Status
    reasons: tuple[Reason, ...]


def check_answer(answer: str, passages: Sequence[Passage], first: int = 1) -> tuple[Check, ...]:
    """Check each sentence of an answer whose passages are numbered from `first`.

    A line that repeats a passage's heading says which passage follows and claims nothing; nor does the fixed sentence
    that the passages hold no answer. Neither is checked.
    """
    sources = {number: _Source(passage) for number, passage in enumerate(passages, start=first)}
    exempt = {normalized(passage.heading) for passage in passages} | {normalized(NO_ANSWER), ""}
    return tuple(
        _check(sentence, sources) for sentence in split_sentences(answer) if normalized(sentence.text) not in exempt
    )


class _Source:
    """A passage, read once: its sentences word by word, and the claims of each and of all."""

    def __init__(self, passage: Passage) -> None:
        sentences = split_sentences(passage.text)
        self.quotes = {normalized(sentence.text) for sentence in sentences}
        self.sentences = [claim(sentence.text) for sentence in sentences]
        self.heading = claim(passage.heading)
        self.whole = claim(f"{passage.heading}. {passage.text}")


def _check(sentence: Sentence, sources: dict[int, _Source]) -> Check:
    cites = cited_numbers(sentence.text)
    text = normalized(sentence.text)
    if not cites:
        quoted = tuple(number for number, source in sources.items() if text in source.quotes)[:1]
        if quoted:
            return Check(sentence.start, sentence.end, quoted, "host", "supported", ())
        return Check(sentence.start, sentence.end, (), "model", "uncited", ())
    cited = [sources[number] for number in cites if number in sources]
    if len(cited) == len(cites) and any(text in source.quotes for source in cited):
        reasons: tuple[Reason, ...] = ()
    else:
        reasons = _reasons(claim(sentence.text), cited)
    if len(cited) < len(cites) and "overlap" not in reasons:
        reasons = (*reasons, "overlap")  # a mark that names no passage supports nothing
    return Check(sentence.start, sentence.end, cites, "model", "unsupported" if reasons else "supported", reasons)


def _reasons(said: Claim, cited: Sequence[_Source]) -> tuple[Reason, ...]:
    """Why the cited passages do not support the claim; empty where nothing speaks against it."""
    if not cited:
        return ("overlap",)
    wholes = [source.whole for source in cited]
    reasons: list[Reason] = []
    if said.numbers - _union(whole.numbers for whole in wholes):
        reasons.append("number")
    elif said.quantities - _union(whole.quantities for whole in wholes):
        reasons.append("unit")
    nearest = max((claimed for source in cited for claimed in source.sentences), key=lambda c: _share(said, c.words))
    if said.drugs - nearest.drugs - _union(source.heading.drugs for source in cited):
        reasons.append("drug")  # a drug from elsewhere in the passage is as wrong here as one from nowhere
    if said.negates != nearest.negates:
        reasons.append("negation")
    known = _union(whole.words for whole in wholes)
    foreign_term = any(len(word) >= _TERM_LETTERS for word in said.words - known)
    if foreign_term or _share(said, known) < _PASSAGE_OVERLAP or _share(said, nearest.words) < _SENTENCE_OVERLAP:
        reasons.append("overlap")
    return tuple(reasons)


def _share(said: Claim, words: frozenset[str]) -> float:
    return len(said.words & words) / len(said.words) if said.words else 0.0


def _union(sets: Iterable[frozenset[_T]]) -> frozenset[_T]:
    return frozenset[_T]().union(*sets)

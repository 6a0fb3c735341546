"""The check of an answer: is each sentence supported by the passage that it cites?

Supported is what stands in the passage word for word: a sentence of it, or an unbroken part of one that does not lose a
negation. Models that quote are held to quoting: words alone cannot show that a reworded or spliced sentence still means
the same, so it is unsupported, with the reasons that the words do show: a number, unit, drug or negation that the passage
does not hold, else `overlap`. A quote can still mislead, and a sentence that fails can still be true.
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

_SHORTEST_PART_WORDS = 5  # of a sentence, to count as a quote of its own


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
        self.whole = claim(f"{passage.heading}. {passage.text}")


def _check(sentence: Sentence, sources: dict[int, _Source]) -> Check:
    cites = cited_numbers(sentence.text)
    text = normalized(sentence.text)
    if not cites:
        found = tuple(number for number, source in sources.items() if text in source.quotes)[:1]
        if found:
            return Check(sentence.start, sentence.end, found, "host", "supported", ())
        return Check(sentence.start, sentence.end, (), "model", "uncited", ())
    cited = [sources[number] for number in cites if number in sources]
    # A mark that names no passage supports nothing.
    quoted = len(cited) == len(cites) and any(_quotes(text, source) for source in cited)
    reasons = () if quoted else _reasons(claim(sentence.text), cited)
    return Check(sentence.start, sentence.end, cites, "model", "unsupported" if reasons else "supported", reasons)


def _quotes(text: str, source: "_Source") -> bool:
    """Whether the normalized `text` is a sentence of the source, or an unbroken part with the same polarity."""
    if text in source.quotes:
        return True
    if len(text.split()) < _SHORTEST_PART_WORDS:
        return False
    negates = claim(text).negates
    return any(f" {text} " in f" {quote} " and claim(quote).negates == negates for quote in source.quotes)


def _reasons(said: Claim, cited: Sequence[_Source]) -> tuple[Reason, ...]:
    """Why the cited passages do not support the claim, as far as words tell: `overlap` where they tell nothing else."""
    if not cited:
        return ("overlap",)
    wholes = [source.whole for source in cited]
    reasons: list[Reason] = []
    if said.numbers - _union(whole.numbers for whole in wholes):
        reasons.append("number")
    elif said.quantities - _union(whole.quantities for whole in wholes):
        reasons.append("unit")
    nearest = max((claimed for source in cited for claimed in source.sentences), key=lambda c: _share(said, c.words))
    if said.drugs - nearest.drugs:
        reasons.append("drug")  # a drug from elsewhere in the passage is as wrong here as one from nowhere
    if said.negates != nearest.negates:
        reasons.append("negation")
    return tuple(reasons) or ("overlap",)


def _share(said: Claim, words: frozenset[str]) -> float:
    return len(said.words & words) / len(said.words) if said.words else 0.0


def _union(sets: Iterable[frozenset[_T]]) -> frozenset[_T]:
    return frozenset[_T]().union(*sets)

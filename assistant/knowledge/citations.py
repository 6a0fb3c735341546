"""The check of an answer: is each sentence supported by the passage that it cites?

Supported is a quote, and a sentence whose quantities, drugs, negations and content words stand together in the cited passage
(`claims/support.py`). What that cannot see: parts exchanged within one sentence (`A causes B`), quantifiers and certainty
(`may`, `all`), a condition in the sentence before, and whether a true sentence answers the question. Marks are the host's:
one that names no passage supports nothing, a sentence without a mark gains one where exactly one passage supports it, and a
quote that cites another passage is reported with the number of its own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.knowledge.claims.claim import Claim, read_claim
from assistant.knowledge.claims.marks import MARK, cited_numbers, normalized, without_marks
from assistant.knowledge.claims.support import MOST_CHARACTERS, Reason, find_reasons, read_passage
from models.grounding import NO_ANSWER, Passage, one_line
from models.sentences import Sentence, split_sentences

Status = Literal["supported", "unsupported", "uncited"]

_DECORATION = re.compile(r"^(?:\s*(?:#{1,6}\s|[-*•–>]\s|\d{1,2}[.)]\s))+|\*\*|__|`")
_LEADING_MARKS = re.compile(rf"(?:{MARK.pattern})+")
_MARK_BEGUN = re.compile(r"\s*(\[[\d,;\s]*\]?)?")
"""Behind a sentence: nothing yet, or what may become a citation mark, which would belong to it."""
_HEADING = re.compile(r"\s*(?:#{1,6}\s.*|\*\*[^*]+\*\*:?|[^.!?]*:)\s*")
_STOPPED = re.compile(r"[.!]\W*$")
_MOST_HEADING_WORDS = 8
_WORD = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Check:
    """The verdict on one sentence; `start` and `end` are code points of the answer, end exclusive.

    `by` is `model` where the sentence cites by itself, `host` where this check found its passage.
    """

    start: int
    end: int
    cites: tuple[int, ...]
    by: Literal["model", "host"]
    status: Status
    reasons: tuple[Reason, ...]


def check_answer(answer: str, passages: Sequence[Passage], first: int = 1) -> tuple[Check, ...]:
    """Check each sentence of a finished answer whose passages are numbered from `first`."""
    return tuple(AnswerChecks(passages, first).new(answer, ended=True))


class AnswerChecks:
    """Checks an answer while it grows: each sentence once, when its end and its marks have come."""

    def __init__(self, passages: Sequence[Passage], first: int = 1) -> None:
        self._passages, self._first = tuple(passages), first
        self._headings = frozenset(
            normalized(one_line(name)) for each in passages for name in (each.heading, each.title, each.section)
        )
        self._read_to = 0

    def new(self, answer: str, *, ended: bool = False) -> list[Check]:
        """Checks of the sentences that have come to their end since the last call; `answer` is all of it so far.

        A line that repeats a heading says which passage follows and claims nothing; nor does the fixed sentence that the
        passages hold no answer, nor a bare question. None is checked.
        """
        checks = []
        for sentence in _sentences(answer, self._read_to):
            if not ended and _MARK_BEGUN.fullmatch(answer, sentence.end):
                break
            self._read_to = sentence.end
            if not self._claims_nothing(sentence.text):
                checks.append(self._check(sentence))
        return checks

    def _claims_nothing(self, text: str) -> bool:
        bare = normalized(_DECORATION.sub("", text))
        if not _WORD.search(bare) or bare == normalized(NO_ANSWER) or bare in self._headings:
            return True
        said = read_claim(bare)
        is_plain = not (said.quantities or said.denials or cited_numbers(text))
        if is_plain and _is_question(text) and not self._quoting(text):
            return True
        if (
            is_plain
            and not _STOPPED.search(without_marks(text))
            and any(_is_heading(said, each) for each in self._passages)
        ):
            return True
        if not _HEADING.fullmatch(text):
            return False
        named = frozenset[str]().union(*(read_passage(passage).keys for passage in self._passages))
        return (
            is_plain
            and not said.drugs
            and len(said.words) <= _MOST_HEADING_WORDS
            and all(word.kind == "general" or word.key in named for word in said.words)
        )

    def _quoting(self, text: str) -> list[int]:
        quote = normalized(text)
        numbers = range(self._first, self._first + len(self._passages))
        return [number for number in numbers if quote in read_passage(self._passage(number)).quotes]

    def _check(self, sentence: Sentence) -> Check:
        text = _DECORATION.sub("", sentence.text)
        cites, quoting = cited_numbers(text), self._quoting(text)
        numbers = range(self._first, self._first + len(self._passages))
        if not cites:
            found = quoting or [number for number in numbers if not self._reasons(text, [number])]
            if len(found) == 1:
                return Check(sentence.start, sentence.end, tuple(found), "host", "supported", ())
            return Check(sentence.start, sentence.end, (), "model", "uncited", ())
        known = [number for number in cites if number in numbers]
        reasons: tuple[Reason, ...] = ("overlap",)
        if not set(quoting).isdisjoint(cites) and len(known) == len(cites):
            reasons = ()
        elif known:
            # A mark that names no passage supports nothing, whatever the sentence says.
            reasons = self._reasons(text, known) or (() if len(known) == len(cites) else ("overlap",))
        if reasons and len(quoting) == 1 and len(known) == len(cites):
            return Check(sentence.start, sentence.end, tuple(quoting), "host", "supported", ())
        return Check(sentence.start, sentence.end, cites, "model", "unsupported" if reasons else "supported", reasons)

    def _passage(self, number: int) -> Passage:
        return self._passages[number - self._first]

    def _reasons(self, text: str, numbers: Sequence[int]) -> tuple[Reason, ...]:
        if len(text) > MOST_CHARACTERS or _is_question(text):
            return ("overlap",)
        said, passages = read_claim(text), [self._passage(number) for number in numbers]
        if any(_echoes_heading(said, each) for each in passages):
            return ("overlap",)
        return find_reasons(said, [read_passage(each) for each in passages])


def _echoes_heading(said: Claim, passage: Passage) -> bool:
    """Whether a sentence has no words but those of the heading, and so says nothing of what stands below it."""
    is_bare = bool(said.words) and not (said.quantities or said.denials)
    return is_bare and read_passage(passage).heading.keys.issuperset(word.key for word in said.words)


def _is_heading(said: Claim, passage: Passage) -> bool:
    """Whether a line names what the passage is on, in the heading's order or turned (`Treatment of croup`)."""
    rest = iter(word.key for word in read_passage(passage).heading.words)
    in_order = all(word.key in rest for word in said.words)
    return _echoes_heading(said, passage) and (in_order or "of" in said.tokens)


def _is_question(text: str) -> bool:
    return without_marks(text).rstrip("\"'”’) ").endswith("?")


def _sentences(answer: str, start: int) -> Iterator[Sentence]:
    """The sentences from `start` on, each with the marks that follow it."""
    pending: Sentence | None = None
    for sentence in split_sentences(answer, start):
        marks = _LEADING_MARKS.match(sentence.text) if pending is not None else None
        if pending is None or marks is None or "\n" in answer[pending.end : sentence.start]:
            if pending is not None:
                yield pending
            pending = sentence
            continue
        end = sentence.start + marks.end()
        yield Sentence(pending.start, end, answer[pending.start : end])
        rest = answer[end : sentence.end]
        pending = None
        if rest.strip():
            begin = end + len(rest) - len(rest.lstrip())
            pending = Sentence(begin, sentence.end, answer[begin : sentence.end])
    if pending is not None:
        yield pending

"""Scores of grounded answers: is the first citation right, is the quote verbatim, is a missing answer admitted."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from compressor.examples.corpora import Section
from compressor.examples.grounded import Example, ExampleBuilder
from models.grounding import NO_ANSWER
from models.sentences import split_sentences

_MARK = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True)
class Answer:
    """What a model said to an example, and whether it ended by itself."""

    text: str
    ended: bool


@dataclass(frozen=True)
class GroundedScores:
    """Shares between 0 and 1. The first six are over answerable questions, `false_answers` over the others."""

    questions: int
    first_citation_right: float
    always_first: float
    """First citation right of the constant answer: the lowest number."""
    most_words_in_common: float
    """First citation right of the passage that shares most distinct words with the question."""
    first_sentence_verbatim: float
    names_focus: float
    good: float
    """Right citation, focus named, ended by itself, no 4-gram more than twice: all at once."""
    unanswerable: int
    false_answers: float

    def to_json(self) -> dict[str, float]:
        """All fields by name."""
        return asdict(self)


def evaluation_examples(
    sections: Sequence[Section], count: int, passages: int, seed: int, *, answered: bool
) -> list[Example]:
    """The first `count` sections that can be asked about, their questions as they stand, passages shuffled."""
    builder = ExampleBuilder(sections)
    rng = random.Random(seed)
    return [builder.draw_for(rng, section, passages, answered=answered) for section in builder.sections[:count]]


def score(
    answerable: Sequence[Example], unanswerable: Sequence[Example], answer: Callable[[Example], Answer]
) -> GroundedScores:
    """Ask all examples and score the answers."""
    answers = [answer(example) for example in answerable]
    pairs = list(zip(answerable, answers, strict=True))
    return GroundedScores(
        questions=len(pairs),
        first_citation_right=_share(cites_right(example, said) for example, said in pairs),
        always_first=_share(example.first in example.gold for example in answerable),
        most_words_in_common=_share(_most_words(example) in example.gold for example in answerable),
        first_sentence_verbatim=_share(quotes_verbatim(example, said) for example, said in pairs),
        names_focus=_share(names_focus(example, said) for example, said in pairs),
        good=_share(is_good(example, said) for example, said in pairs),
        unanswerable=len(unanswerable),
        false_answers=_share(answer(example).text.strip() != NO_ANSWER for example in unanswerable),
    )


def cites_right(example: Example, said: Answer) -> bool:
    """Whether the first mark of the answer names a gold passage."""
    return first_mark(said.text) in example.gold


def first_mark(text: str) -> int | None:
    """The number of the first citation mark."""
    mark = _MARK.search(text)
    return None if mark is None else int(mark.group(1))


def quotes_verbatim(example: Example, said: Answer) -> bool:
    """Whether the first sentence below the heading stands word for word in a passage."""
    heading, _, body = said.text.partition("\n")
    sentences = split_sentences(_MARK.sub("", body or heading))
    return bool(sentences) and any(sentences[0].text in passage.text for passage in example.passages)


def names_focus(example: Example, said: Answer) -> bool:
    """Whether the title of a gold passage stands in the answer."""
    titles = {example.passages[number - example.first].title.lower() for number in example.gold}
    return any(title in said.text.lower() for title in titles)


def is_good(example: Example, said: Answer) -> bool:
    """All of it: right citation, focus named, ended by itself, and no 4-gram of words more than twice."""
    whole = said.ended and not circles(said.text)
    return cites_right(example, said) and names_focus(example, said) and whole


def circles(text: str) -> bool:
    """Whether some run of four words stands there more than twice."""
    words = text.lower().split()
    grams = Counter(zip(words, words[1:], words[2:], words[3:], strict=False))
    return max(grams.values(), default=0) > 2


def _most_words(example: Example) -> int:
    question = set(re.findall(r"\w+", example.question.lower()))
    shared = [len(question & set(re.findall(r"\w+", f"{p.heading} {p.text}".lower()))) for p in example.passages]
    return example.first + shared.index(max(shared))


def _share(hits: Iterable[bool]) -> float:
    values = list(hits)
    return sum(values) / len(values) if values else 0.0

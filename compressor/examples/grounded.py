"""Grounded examples in the run-time format: numbered passages with distractors, a question, an answer that quotes.

Four kinds: a question on a section, a lookup of one sentence, two questions at once, and questions whose passages do not
hold the answer. The gold passage stands anywhere; distractors share its title, its heading or its words.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from compressor.examples.corpora import Section
from compressor.examples.questions import joined_question, lookup_question, section_question
from models.grounding import NO_ANSWER, Passage, grounded_messages, quoted_answer

_WORD = re.compile(r"[A-Za-z][A-Za-z\-]{2,}")
_COMMON_SHARE = 0.02


@dataclass(frozen=True)
class Example:
    """One grounded conversation; `gold` holds the numbers of the passages that answer, empty where none does."""

    question: str
    passages: tuple[Passage, ...]
    first: int
    gold: tuple[int, ...]
    answer: str
    note: str | None = None

    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages, without the answer."""
        return grounded_messages(self.question, self.passages, self.first, self.note)


def conversations(sections: Sequence[Section], seed: int) -> Iterator[list[dict[str, str]]]:
    """Endless examples on the sections as chat messages, answer last."""
    builder, rng = ExampleBuilder(sections), random.Random(seed)
    while builder.sections:
        example = builder.draw(rng)
        yield [*example.messages(), {"role": "assistant", "content": example.answer}]


@dataclass(frozen=True)
class _Gold:
    section: Section
    passage: Passage
    sentences: tuple[str, ...]
    question: str


class ExampleBuilder:
    """Draws examples from sections; the same sections and random state give the same examples."""

    def __init__(self, sections: Sequence[Section], most_passages: int = 5) -> None:
        """Index the sections that have a heading and at least one quotable sentence."""
        self.sections = [s for s in sections if s.sentences and 2 < len(s.heading) <= 80 and s.title]
        self.most_passages = most_passages
        self._by_title: dict[str, list[Section]] = defaultdict(list)
        self._by_heading: dict[str, list[Section]] = defaultdict(list)
        self._by_word: dict[str, list[Section]] = defaultdict(list)
        for section in self.sections:
            self._by_title[section.title].append(section)
            self._by_heading[section.heading].append(section)
            for word in set(section.title.lower().split()):
                self._by_word[word].append(section)
        counts = Counter(
            word for s in self.sections for word in {w.lower() for w in _WORD.findall(" ".join(s.sentences))}
        )
        limit = max(2, round(_COMMON_SHARE * len(self.sections)))
        self._common = {word for word, count in counts.items() if count > limit}

    def draw(self, rng: random.Random) -> Example:
        """One example: 45% sections, 22% lookups, 13% two questions, 20% without an answer."""
        section = rng.choice(self.sections)
        kind = rng.random()
        if kind < 0.22 and (lookup := self._lookup(rng, section)):
            return self._assemble(rng, [lookup], self._count(rng), answered=True)
        gold = self._gold(rng, section)
        if kind < 0.35 and (other := self._sibling(rng, section)):
            return self._assemble(rng, [gold, self._gold(rng, other)], self._count(rng), answered=True)
        return self._assemble(rng, [gold], self._count(rng), answered=kind < 0.8)

    def draw_for(self, rng: random.Random, section: Section, passages: int, *, answered: bool = True) -> Example:
        """The example of one given section with its question as it stands, for evaluation."""
        gold = replace(self._gold(rng, section), question=section.question or f"{section.title}: {section.heading}?")
        return replace(self._assemble(rng, [gold], passages, answered=answered), note=None)

    def _count(self, rng: random.Random) -> int:
        return rng.randint(2, self.most_passages)

    def _gold(self, rng: random.Random, section: Section) -> _Gold:
        sentences = section.sentences[: rng.randint(2, 5)]
        question = section_question(rng, section.title, section.heading, section.question)
        return _Gold(section, _passage(section, sentences), sentences[:2], question)

    def _lookup(self, rng: random.Random, section: Section) -> _Gold | None:
        start = rng.randrange(max(1, len(section.sentences) - 2))
        sentences = section.sentences[start : start + rng.randint(2, 5)]
        target = rng.choice(sentences)
        rare = [m for m in _WORD.finditer(target) if m.group().lower() not in self._common]
        if not rare:
            return None
        if rng.random() < 0.5:
            anchor = rng.choice(rare)
            tail = target[anchor.start() :].split()
            words = [" ".join(tail[: rng.randint(1, 4)]).strip(".,;:()?!")]
        else:
            chosen = sorted(rng.sample(rare, min(len(rare), rng.randint(1, 3))), key=lambda m: m.start())
            words = [match.group() for match in chosen]
        question = lookup_question(rng, words)
        if rng.random() < 0.3:
            question = f"{section.title}: {question}"
        return _Gold(section, _passage(section, sentences), (target,), question)

    def _sibling(self, rng: random.Random, section: Section) -> Section | None:
        others = [s for s in self._by_title[section.title] if s.heading != section.heading]
        return rng.choice(others) if others else None

    def _assemble(self, rng: random.Random, golds: list[_Gold], wanted: int, *, answered: bool) -> Example:
        taken = {gold.passage.heading.lower() for gold in golds}
        passages = [gold.passage for gold in golds] if answered else []
        passages += self._distractors(rng, golds[0].section, wanted - len(passages), taken)
        rng.shuffle(passages)
        first = 1 if rng.random() < 0.9 else rng.randint(2, 6)
        question = reduce(joined_question, (gold.question for gold in golds))
        note = rng.choice(rng.choice(self.sections).sentences) if rng.random() < 0.04 else None
        if not answered:
            return Example(question, tuple(passages), first, (), NO_ANSWER, note)
        numbers = [first + passages.index(gold.passage) for gold in golds]
        blocks = [quoted_answer(gold.passage, n, gold.sentences) for gold, n in zip(golds, numbers, strict=True)]
        return Example(question, tuple(passages), first, tuple(numbers), "\n".join(blocks), note)

    def _distractors(self, rng: random.Random, gold: Section, count: int, taken: set[str]) -> list[Passage]:
        found: list[Passage] = []
        for _ in range(8 * count):
            if len(found) == count:
                break
            passage = self._distractor(rng, gold)
            if passage.heading.lower() not in taken:
                taken.add(passage.heading.lower())
                found.append(passage)
        return found

    def _distractor(self, rng: random.Random, gold: Section) -> Passage:
        roll = rng.random()
        if roll < 0.4:
            pool = self._by_title[gold.title]
        elif roll < 0.6:
            pool = self._by_heading[gold.heading]
        elif roll < 0.85:
            pool = self._by_word[rng.choice(gold.title.lower().split())]
        else:
            pool = self.sections
        section = rng.choice(pool)
        start = rng.randrange(len(section.sentences)) if rng.random() < 0.3 else 0
        return _passage(section, section.sentences[start : start + rng.randint(2, 5)])


def _passage(section: Section, sentences: Sequence[str]) -> Passage:
    return Passage(section.title, section.heading, " ".join(sentences))

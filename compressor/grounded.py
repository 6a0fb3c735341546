"""Grounded examples from the notes, in the very format of the assistant: passages, a question, a quoting answer.

A compressed model must still quote and cite, so a share of what it is calibrated on looks like this.
"""

import random
from collections.abc import Iterator, Sequence

from models.grounding import NO_ANSWER, Passage, grounded_messages, quoted_answer
from models.sentences import split_sentences
from models.starter import Note

Messages = list[dict[str, str]]
PASSAGES = (2, 3, 4)
UNANSWERABLE_EVERY = 8
QUESTIONS = (
    "What about {section} in {title}?",
    "{title}: what should I know about {section}?",
    "What do the passages say on {section} for {title}?",
    "How is {title} handled with regard to {section}?",
)


def grounded_examples(notes: Sequence[Note], seed: int) -> Iterator[Messages]:
    """Endless chat messages, answer last: each section of each note is asked about in turn, reordered each round."""
    chance = random.Random(seed)
    places = [(note, index) for note in notes for index in range(len(note.sections))]
    produced = 0
    while places:
        chance.shuffle(places)
        for note, index in places:
            produced += 1
            yield _example(chance, notes, note, index, answerable=produced % UNANSWERABLE_EVERY != 0)


def _example(chance: random.Random, notes: Sequence[Note], note: Note, index: int, *, answerable: bool) -> Messages:
    gold = _passage(note, index)
    passages = _distractors(chance, notes, note, index, chance.choice(PASSAGES) - (1 if answerable else 0))
    if answerable:
        passages.insert(chance.randrange(len(passages) + 1), gold)
    question = chance.choice(QUESTIONS).format(section=gold.section.lower(), title=note.title.lower())
    answer = NO_ANSWER
    if answerable:
        sentences = [sentence.text for sentence in split_sentences(gold.text)]
        answer = quoted_answer(gold, passages.index(gold) + 1, sentences[: chance.choice((1, 2, 3))])
    return [*grounded_messages(question, passages), {"role": "assistant", "content": answer}]


def _distractors(chance: random.Random, notes: Sequence[Note], note: Note, index: int, count: int) -> list[Passage]:
    """Other sections, of the same topic and of others alike."""
    same = [_passage(note, other) for other in range(len(note.sections)) if other != index]
    foreign = [_passage(other, chance.randrange(len(other.sections))) for other in notes if other.id != note.id]
    chance.shuffle(same)
    chance.shuffle(foreign)
    picked = same[: max(1, count // 2)] + foreign
    return picked[: max(count, 1)]


def _passage(note: Note, index: int) -> Passage:
    section = note.sections[index]
    return Passage(note.title, section.heading, section.text)

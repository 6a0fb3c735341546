"""The retention set: whole answers from MedQuAD valid, which a small model can tell apart where it cannot pick letters.

Question, the first sentences of its answer, and three first sentences of answers to the same type of question about other
foci; the model must find its own answer likelier per character. Chance is 25%: gold positions take turns.
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from compressor.examples.corpora import Section, read_sections
from compressor.tasks.items import Item, Task, Template

CHOICES = 4
SENTENCES = 2
MOST_CHARACTERS = 400


def retention_task(data: Path, template: Template, limit: int | None) -> Task:
    """The set built from `data`/medquad/valid.jsonl.gz, the same on every machine. Raises TextError."""
    items = build_items(read_sections(data, "medquad", "valid"), template)
    return Task("retention", tuple(str(number + 1) for number in range(CHOICES)), "acc_norm", tuple(items[:limit]))


def build_items(sections: Sequence[Section], template: Template) -> list[Item]:
    """One item for each distinct question that has three foreign answers, in an order that depends on the text alone."""
    by_type: dict[str, list[tuple[Section, str]]] = defaultdict(list)
    for section in sections:
        if opening := _opening(section):
            by_type[section.heading].append((section, opening))
    found: dict[str, tuple[Section, list[str]]] = {}
    for candidates in by_type.values():
        for section, opening in candidates:
            distractors = _distractors(section, opening, candidates)
            if len(distractors) == CHOICES - 1 and section.question:
                found.setdefault(_digest(section.question), (section, [opening, *distractors]))
    return [_item(number, digest, *found[digest], template) for number, digest in enumerate(sorted(found))]


def _opening(section: Section) -> str:
    """The first quotable sentences, as many as fit; empty where the answer has none."""
    taken = ""
    for sentence in section.sentences[:SENTENCES]:
        longer = f"{taken} {sentence}".strip()
        if len(longer) > MOST_CHARACTERS:
            break
        taken = longer
    return taken


def _distractors(section: Section, opening: str, candidates: Sequence[tuple[Section, str]]) -> list[str]:
    """Three openings of other foci, drawn by the question's hash; some answers are shared by many foci word for word."""
    foreign = sorted({text for other, text in candidates if other.title != section.title and text != opening})
    chance = random.Random(_digest(section.question or section.title))
    return chance.sample(foreign, CHOICES - 1) if len(foreign) >= CHOICES - 1 else []


def _item(number: int, digest: str, section: Section, texts: list[str], template: Template) -> Item:
    gold = number % CHOICES
    choices = [*texts[1 : gold + 1], texts[0], *texts[gold + 1 :]]
    question = section.question or section.title
    prompt = f"Question: {question}\nAnswer:" if template == "lm-eval" else f"Context: Question: {question} Answer:"
    return Item(digest[:16], prompt, tuple(choices), gold, question)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

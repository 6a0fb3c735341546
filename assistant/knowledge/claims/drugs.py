"""Drug names in a text: international, American, British and brand names of one substance are one; combinations are theirs.

One that is not among `medicines` is known by its ending.
"""

import re
from functools import cache
from typing import NamedTuple

from assistant.knowledge.medicines import medicines

_WORD = re.compile(r"[^\W_](?:[^\W_]|-(?=[^\W_]))*")
_LONGEST_NAME = 3
# Endings of international non-proprietary names (WHO stem book), long enough not to catch ordinary words.
_STEM = re.compile(
    r"\w{2,}(?:cillin|mycin|floxacin|cycline|azole|vir|vastatin|pril|sartan|olol|dipine|gliptin|gliflozin|glitazone|xaban"
    r"|gatran|parin|prazole|setron|triptan|zepam|zolam|caine|profen|fenac|coxib|oxetine|semide|thiazide|lukast|(?<!s)terol"
    r"|sone|solone|sonide|[^n]mab|tinib|ciclib|rafenib|platin|glutide|formin|curium|barbital|bactam|penem|prost|vudine"
    r"|dronate|rubicin|taxel|tecan|limus|cept|afil|azosin|ridone|apine|peridol|azepine|amivir|conazole|cefepime|kinra)"
)
_NO_DRUGS = frozenset("person season reason unison concept percept precept accept except intercept".split())


class Drug(NamedTuple):
    """A substance that the text names between two offsets."""

    name: str
    start: int
    end: int


def read_drugs(text: str) -> list[Drug]:
    """The substances that a lowered text names, in order; a combination gives each of its own."""
    names, begins = _names(), _begins()
    words = [(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]
    found: list[Drug] = []
    place = 0
    while place < len(words):
        following = [word for word, _, _ in words[place : place + _LONGEST_NAME]]
        substances, length = _longest(following if following[0] in begins else following[:1], names)
        start, end = words[place][1], words[place + max(length, 1) - 1][2]
        found += [Drug(name, start, end) for name in substances]
        place += max(length, 1)
    return found


def _longest(words: list[str], names: dict[tuple[str, ...], tuple[str, ...]]) -> tuple[tuple[str, ...], int]:
    for length in range(len(words), 0, -1):
        if (substances := names.get(tuple(words[:length]))) is not None:
            return substances, length
    singular = words[0].removesuffix("s")
    if (singular,) in names:
        return names[(singular,)], 1
    is_drug = len(singular) > 6 and singular not in _NO_DRUGS and _STEM.fullmatch(singular)
    return ((singular,) if is_drug else ()), 1


@cache
def _names() -> dict[tuple[str, ...], tuple[str, ...]]:
    return {tuple(name.split()): each.parts or each.names[:1] for each in medicines() for name in each.names}


@cache
def _begins() -> frozenset[str]:
    return frozenset(name[0] for name in _names() if len(name) > 1)

"""Questions worded anew: for a subject and a kind of answer that a held-out document and the library both have.

Neither half repeats the set's own question or its title. What is asked is one of our wordings of the kind of answer; the
subject is small-lettered, without what stands in brackets, and changed by the first rule that applies: `X of the Y` becomes
`Y X`; an eponym loses its `syndrome` or `disease`; American spelling becomes British; `primary` and the like go behind;
hyphens and apostrophes go. Variants: the subject with a fault of typing in its longest word; the subject as an abbreviation
that some answer gives for it in brackets; no name at all, only the sentence that a held-out answer describes it with, less
the words of the name. Everything is drawn by the checksum of what it is for, so that a run is the same on any machine.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.retrieval.medquad import Answer
from benchmarks.retrieval.wordings import REPORTED, TUNED

_GENERIC = re.compile(r" (syndrome|disease)$")
_OF_THE = re.compile(r"^(\w[\w ]*) of (?:the )?(\w[\w ]*)$")
_FIRST = re.compile(r"^(primary|acute|chronic|congenital|familial|hereditary|juvenile) (.+)$")
_BRITISH = {
    "anemi": "anaemi", "leukemi": "leukaemi", "hemo": "haemo", "hemi": "haemi", "edema": "oedema", "tumor": "tumour",
    "esoph": "oesoph", "celiac": "coeliac", "diarrhea": "diarrhoea", "fetal": "foetal", "pediatric": "paediatric",
    "ischemi": "ischaemi", "emia": "aemia", "estrogen": "oestrogen",
}  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST_MISTYPED = 6

Key = tuple[str, str]


@dataclass(frozen=True)
class Query:
    """A question, and what an answering passage is about and tells of it."""

    text: str
    key: Key


def is_tuned(focus: str) -> bool:
    """Which half of the subjects this one belongs to."""
    return zlib.crc32(focus.casefold().encode()) % 2 == 0


def reworded(focus: str) -> str:
    """The subject by another name."""
    name = " ".join(re.sub(r"\([^)]*\)", " ", focus).casefold().split())
    if match := _OF_THE.match(name):
        return f"{match[2]} {match[1]}"
    if len(name.split()) == 2 and _GENERIC.search(name) and re.search(r"['-]|^[A-Z]", focus):
        name = _GENERIC.sub("", name)
    for american, british in _BRITISH.items():
        if american in name and british not in name:
            return name.replace(american, british, 1)
    if match := _FIRST.match(name):
        return f"{match[2]}, {match[1]}"
    return name.replace("-", " ").replace("'s", "s").replace("'", "")


def mistyped(name: str) -> str | None:
    """The name with one letter of its longest word lost, doubled, changed, or exchanged with the next; not the first."""
    word = max(re.findall(r"[a-z]+", name), key=len, default="")
    if len(word) < _SHORTEST_MISTYPED:
        return None
    draw = Random(zlib.crc32(name.encode()))
    place = draw.randrange(1, len(word) - 1)
    before, letter, after = word[:place], word[place], word[place + 1 :]
    faults = (before + after, before + 2 * letter + after, before + draw.choice(_LETTERS) + after,
              before + after[0] + letter + after[1:])  # fmt: skip
    wrong = draw.choice([fault for fault in faults if fault != word])
    return name.replace(word, wrong, 1)


def abbreviations(answers: Sequence[Answer]) -> dict[str, str]:
    """By subject what answers shorten its name to: `name (NAME)`, where all that do agree."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for answer in answers:
        focus = re.sub(r"\s*\([^)]*\)", "", answer.focus)
        for match in re.finditer(rf"{re.escape(focus)}\s+\(([A-Z][A-Za-z0-9]*[A-Z])s?\)", answer.text, re.IGNORECASE):
            if match[1][:2].isupper() and len(match[1]) <= 5:
                found[answer.focus.casefold()].add(match[1])
    return {focus: names.pop() for focus, names in sorted(found.items()) if len(names) == 1}


def described(answer: Answer) -> str | None:
    """How a held-out answer says what its subject is, without the words of its name."""
    sentence = re.split(r"(?<=\w\w[.!?])\s|\n", answer.text.strip(), maxsplit=1)[0]
    head, verb, rest = sentence.partition(" is ")
    if not verb or len(rest.split()) < 8 or len(head) > 120:
        return None
    named = {word[:5] for word in re.findall(r"\w{4,}", f"{answer.focus} {head}".casefold())}
    left = [
        word for word in rest.split() if not any(part[:5] in named for part in re.findall(r"\w{4,}", word.casefold()))
    ]
    return " ".join(left)


def build(keys: Sequence[Key], name: Callable[[str], str | None], *, tuned: bool) -> Iterator[Query]:
    """Every wording of every key of one half; `name` is how a subject is called, None where it cannot be so."""
    wordings: Mapping[str, tuple[str, ...]] = TUNED if tuned else REPORTED
    for focus, kind in keys:
        called = name(focus) if is_tuned(focus) == tuned else None
        if called is not None:
            for wording in wordings.get(kind, ()):
                yield Query(wording.format(x=called), (focus, kind))

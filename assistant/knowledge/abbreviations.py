"""Medical abbreviations and other names of the same thing, as groups in which each member stands for the others.

Medicines are such groups, too. An abbreviation with several meanings keeps them all: `MS` is multiple sclerosis and mitral
stenosis, and which of them is meant is not for the search to say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from assistant.knowledge.medicines import medicines
from assistant.knowledge.words import words

# Written small these are words or units of their own.
_ONLY_IN_CAPITALS = frozenset(
    """
    aids all ar as ca cap di hit ie lam lp men mg mm mr news om or pad ph
    pots rop sad ssc ten tn tos us
    """.split()
)
_LONGEST_WORDS = 5
Reading = tuple[str, ...]
"""Names of one meaning, folded."""


@dataclass(frozen=True)
class Expansion:
    """Words `start` to `end` (exclusive) of a text name something that goes by other names too, one set a meaning."""

    start: int
    end: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class _Names:
    """All names with their meanings, and which of them are abbreviations."""

    readings: Mapping[str, tuple[Reading, ...]]
    abbreviations: frozenset[str]


@cache
def _names() -> _Names:
    readings: dict[str, list[Reading]] = {}
    abbreviations: set[str] = set()
    for short, names in _groups():
        abbreviations |= short
        for name in dict.fromkeys((*short, *names)):
            readings.setdefault(name, []).append(names)
    return _Names({name: tuple(found) for name, found in readings.items()}, frozenset(abbreviations))


def _groups() -> Iterator[tuple[frozenset[str], Reading]]:
    """By meaning: its abbreviations, and all that it is called, of which an ambiguous abbreviation is no part."""
    for line in files("assistant.knowledge").joinpath("names.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        short, _, meanings = line.partition(" = ")
        abbreviations = [_name(name) for name in short.split() if name != "-"]
        readings = meanings.split(" | ")
        sure = [name for name in abbreviations if len(readings) == 1 and name not in _ONLY_IN_CAPITALS]
        for reading in readings:
            yield frozenset(abbreviations), tuple(dict.fromkeys((*sure, *map(_name, reading.split(", ")))))
    for medicine in medicines():
        whole = (" ".join(medicine.parts),) if medicine.parts else ()
        yield frozenset(), tuple(dict.fromkeys(map(_name, (*medicine.names, *whole))))


def _name(text: str) -> str:
    return " ".join(words(text))


def expansions(text: str) -> tuple[Expansion, ...]:
    """What in the text goes by other names, longest names first, none within another.

    Positions count the text's `words`. Where the whole text is in capitals they tell no abbreviation from a word.
    """
    run = words(text)
    capitals = set() if text.isupper() else _in_capitals(text)
    found: list[Expansion] = []
    start = 0
    while start < len(run):
        end = _longest(run, start, capitals)
        if end is not None:
            found.append(_expansion(run, start, end))
        start = end or start + 1
    return tuple(found)


def _in_capitals(text: str) -> set[str]:
    return {word for part in text.split() if part.rstrip("s.,;:?!)").isupper() for word in words(part)}


def _longest(run: list[str], start: int, capitals: set[str]) -> int | None:
    for end in range(min(len(run), start + _LONGEST_WORDS), start, -1):
        name = _singular(" ".join(run[start:end]))
        if name in _names().readings and (name not in _ONLY_IN_CAPITALS or name in capitals):
            return end
    return None


def _expansion(run: list[str], start: int, end: int) -> Expansion:
    name = _singular(" ".join(run[start:end]))
    readings = _names().readings[name]
    if name not in _names().abbreviations:
        # A full name has one meaning, even where it stands in several lines of the table.
        readings = (tuple(dict.fromkeys(other for reading in readings for other in reading)),)
    return Expansion(start, end, tuple(tuple(other for other in reading if other != name) for reading in readings))


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and name not in _names().readings else name

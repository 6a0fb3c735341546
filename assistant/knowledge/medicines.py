"""Medicines and what each is called: international, American, British and brand names, short forms; and combinations."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from assistant.knowledge.words import words


@dataclass(frozen=True)
class Medicine:
    """Lower-case names, each one or several words; of one substance the first is the international one."""

    names: tuple[str, ...]
    parts: tuple[str, ...] = ()
    """The substances of a combination."""


@cache
def medicines() -> tuple[Medicine, ...]:
    """All that the table has."""
    lines = files("assistant.knowledge").joinpath("medicines.txt").read_text("utf-8").splitlines()
    return tuple(_medicine(line) for line in lines if line and not line.startswith("#"))


def _medicine(line: str) -> Medicine:
    names, _, parts = (tuple(side.replace("_", " ") for side in each.split()) for each in line.partition("="))
    return Medicine(names, parts)


@cache
def drug_names() -> frozenset[str]:
    """Folded words of all names. A word among them is spelled right, whether or not a library holds it."""
    return frozenset(word for medicine in medicines() for name in medicine.names for word in words(name))

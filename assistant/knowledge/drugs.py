"""Names of medicines that are spelled right, so that none is ever taken for a misspelling of another."""

from functools import cache
from importlib.resources import files

from assistant.knowledge.words import fold


@cache
def drug_names() -> frozenset[str]:
    """Folded names, a word each."""
    lines = files("assistant.knowledge").joinpath("drugs.txt").read_text("utf-8").splitlines()
    return frozenset(fold(name) for line in lines if not line.startswith("#") for name in line.split())

"""Whom a text speaks of: an age, told in numbers or by a word."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_NUMBER = r"(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 52.0, "d": 365.0, "h": 8760.0}
_UNIT = r"(?P<unit{0}>years?|yrs?|yr|y|months?|mths?|mo|weeks?|wks?|wk|days?|hours?|hrs?)"
_AGE = re.compile(
    rf"(?<![\w.])(?:(?P<n1>{_NUMBER})[ -]{{0,2}}{_UNIT.format(1)}[ -]{{0,2}}(?:old|of age)\b"
    rf"|(?P<n2>\d{{1,3}})[ -]?(?P<unit2>yo|y/o|mo|m/o|w/o|d/o|y\.o\.)(?!\w)"
    rf"|(?P<n3>\d{{1,3}}) ?(?P<sex>m|f|male|female|man|woman|boy|girl|lady|gentleman)(?![\w'/.])"
    rf"|(?P<n4>\d{{1,3}})[ -]{_UNIT.format(4)}[ -](?:\w{{1,12}}[ -])?(?:boy|girl|baby|infant|male|female|man|woman|child)\b"
    rf"|(?P<n8>\d{{1,3}}) ?y(?: old)?(?= (?:boy|girl|male|female|man|woman|old)\b)"
    rf"|\b(?:day|d|dol) ?(?P<n9>\d{{1,2}})(?: of life\b|(?= (?:neonate|newborn)\b))"
    rf"|\b(?:age|aged)(?: of)?[ :]{{0,2}}(?P<n5>\d{{1,3}})(?: ?{_UNIT.format(5)}\b)?"
    rf"|\b(?:child|boy|girl|toddler|kid|man|woman) (?:of|aged) (?P<n6>{_NUMBER})\b"
    rf"|\b(?:baby|infant|newborn|neonate)(?: of| aged|,)? (?:day )?(?P<n7>{_NUMBER})(?: {_UNIT.format(7)})?\b)"
)
_WORDS = {
    "newborn": 0.01, "neonate": 0.04, "neonatal": 0.04, "baby": 0.5, "infant": 0.5, "toddler": 2.0, "child": 6.0, "kid": 6.0,
    "boy": 8.0, "girl": 8.0,
}  # fmt: skip
_BY_WORD = re.compile(rf"(?<![\w'])(?<!as a )(?<!her )(?<!the )(?:{'|'.join(_WORDS)})(?![\w'])")
_WRITTEN = dict(
    zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True)
)
_TEMPERATURE = re.compile(r"(?:\bt|temp|temperature)[ :=of]*$")


class Age(NamedTuple):
    """Years, and where they are told."""

    years: float
    start: int
    end: int


def ages_of(lower: str) -> Iterator[Age]:
    """All ages that numbers tell."""
    for match in _AGE.finditer(lower):
        groups = match.groupdict()
        number = next(groups[f"n{place}"] for place in range(1, 10) if groups.get(f"n{place}") is not None)
        if groups["sex"] in ("m", "f") and _TEMPERATURE.search(lower[max(0, match.start() - 16) : match.start()]):
            continue
        value = float(_WRITTEN.get(number) or number)
        units = (groups[f"unit{place}"] for place in (1, 2, 4, 5, 7))
        unit = next((each for each in units if each), "d" if groups["n7"] or groups["n9"] else "y")
        years = value / _PER_YEAR[unit[0]]
        if years <= 120:
            yield Age(years, match.start(), match.end())


def age_by_word(lower: str) -> Age | None:
    """What "baby" or "child" says of the age, roughly; None where no such word stands there."""
    match = _BY_WORD.search(lower)
    return None if match is None else Age(_WORDS[match.group()], match.start(), match.end())

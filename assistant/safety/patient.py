"""Whom a text speaks of: ages, told in numbers or by a word, and whose they are."""

import re
from collections.abc import Iterator
from typing import NamedTuple

GROWN_YEARS = 12.0
"""What the triage tool's criteria begin at."""
_NUMBER = r"(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 52.0, "d": 365.0, "h": 8760.0}
_UNIT = r"(?P<unit{0}>years?|yrs?|yr|y|months?|mths?|mo|weeks?|wks?|wk|days?|hours?|hrs?)"
_CHILD = r"(?:child|kid|boy|girl|toddler|lad|lass|son|daughter|grandson|granddaughter|teenager)"
_GROWN = r"(?:man|woman|lady|gentleman)"
_LONG = r"(?P<unit{0}>years?|yrs?|yr|y|months?|mths?|weeks?|wks?)"
_NO_AGE = (
    r"(?![\w%°/'-]|\.\d)(?! ?(?:kgs?|g|m?cg|mg|mls?|l|cm|mm|m|lbs?|stone|f|c|x|times|h|hours?|hrs?|d|days?|w|weeks?|wks?"
    r"|mins?|minutes?|percent|tablets?|pills?|doses?|episodes?|of|bpm|ago|history|hx|fever|cough)\b)"
)
"""Behind a number that is something else of the child than its age: 15 kg, 3 days of fever."""
_AGE = re.compile(
    rf"(?<![\w.])(?:(?P<n1>{_NUMBER})[ -]{{0,2}}{_UNIT.format(1)}[ -]{{0,2}}(?:old|of age)\b"
    rf"|(?P<n2>\d{{1,3}})[ -]?(?P<unit2>yo|y/o|mo|m/o|w/o|d/o|y\.o\.)(?!\w)"
    rf"|(?P<n3>\d{{1,3}}) ?(?P<sex>m|f|male|female|man|woman|boy|girl|lady|gentleman)(?![\w'/.])"
    rf"|(?P<n4>\d{{1,3}})[ -]{_UNIT.format(4)}[ -](?:\w{{1,12}}[ -])?(?:boy|girl|baby|infant|male|female|man|woman|child)\b"
    rf"|(?P<n8>\d{{1,3}}) ?y(?: old)?(?= (?:boy|girl|male|female|man|woman|old)\b)"
    rf"|\b(?:day|d|dol) ?(?P<n9>\d{{1,2}})(?: of life\b|(?= (?:neonate|newborn)\b))"
    rf"|\b(?:{_CHILD}|{_GROWN}) (?:of|aged?) (?P<n6>{_NUMBER})(?:[ -]?{_UNIT.format(6)})?{_NO_AGE}"
    rf"|\b(?:{_CHILD}|{_GROWN})(?:[,:] ?| ?\(| )(?P<n10>\d{{1,3}})[ -]?{_LONG.format(10)}{_NO_AGE}"
    rf"|\b(?:{_CHILD}(?:[,:] ?| ?\(| )(?P<n11>1?\d)|{_GROWN}(?:[,:] ?| ?\()(?P<n12>[1-9]\d)){_NO_AGE}"
    rf"|\b(?P<told>age|aged)(?: of)?[ :]{{0,2}}(?P<n5>\d{{1,3}})(?: ?{_UNIT.format(5)}\b)?"
    rf"|\b(?:baby|infant|newborn|neonate)(?: of| aged|,)? (?:day )?(?P<n7>{_NUMBER})(?: {_UNIT.format(7)}\b|{_NO_AGE}))"
)
_NUMBERS, _UNITS = range(1, 13), (1, 2, 4, 5, 6, 7, 10)
_WORDS = {
    "newborn": 0.01, "neonate": 0.04, "neonatal": 0.04, "baby": 0.5, "infant": 0.5, "toddler": 2.0, "child": 6.0, "kid": 6.0,
    "boy": 8.0, "girl": 8.0,
}  # fmt: skip
_THINGS = (
    "aspirin|monitor|bump|oil|food|blues|shower|teeth|boom|sitter|powder|protection|care|birth|minder|benefit"
    "|support|psychiatr\\w*|maintenance|bearing|lock|proof|friend|scout|guide|abuse team"
)
_BY_WORD = re.compile(rf"(?<![\w'])(?<!as a )(?<!the )(?:{'|'.join(_WORDS)})(?![\w'])(?![ -](?:{_THINGS})\b)")
_WRITTEN = dict(
    zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True)
)
_NO_SEX = re.compile(r"(?:\bt|temp|temperature|\btype|\bgrade|\bstage)[ :=of]*$")
"""Before 39 F, or type 2F."""
_PARENT = r"(?:mother|father|mum|mom|dad|parents?|carer|nanny|nan|gran\w*)"
_ARTICLES = r"(?: (?:a|an|the|her|his|their|one|two|three|four|[1-9]|young|small|little|older?|younger|healthy))*[ -]?"
_BY_HER_SIDE = (
    r"(?:holding|carrying|cuddling|nursing|lifting|breastfeeding|hugging|babysitting|visiting|looking after|cares? for|caring for"
    r"|(?:lives|living) with)"
)
_ANOTHERS = re.compile(
    rf"\b(?:{_PARENT} (?:of|to)|born to|{_BY_HER_SIDE}){_ARTICLES}$"
    r"|\b(?:kids|children|sons|daughters|boys|girls|grandchildren|twins),? $"
    rf"|(?<!my )(?<!our )\b(?:{_PARENT}|brother|sister|wife|husband|partner|uncle|aunt)(?:,| is| was| had \w+| at| \()* ?$"
    r"|\bdied (?:at |when )?$"
)
_MAYBE_ANOTHERS = re.compile(
    rf"\b(?:his|her|their|has|with|{_PARENT} and){_ARTICLES}$|\b(?:at|since|until|from|before|when) (?:the )?(?:age of )?$"
)
_OF_A_PERSON = re.compile(
    rf"(?:^|[.,:;(/\n-]|\b(?:is|pt|patient|male|female|student|pupil|{_CHILD}|{_GROWN}|baby|infant)) *$"
)
_A_GROWN_UP = re.compile(rf"\b(?:{_GROWN}|{_PARENT} of)\b")
_LOOKED_BACK = 48
"""Characters before an age that say whose it is."""


class Age(NamedTuple):
    """Years, and where they are told. `whose`: True the patient's, False another's, None not clear."""

    years: float
    start: int
    end: int
    whose: bool | None = True


class Patient(NamedTuple):
    """The ages that rules are looked at for, None for any adult's; more than one where it is not clear who the patient is."""

    ages: tuple[float | None, ...]

    @property
    def is_unclear(self) -> bool:
        """Whether the text leaves open if its patient is a child."""
        return len(self.ages) > 1


def ages_of(lower: str) -> Iterator[Age]:
    """All ages that numbers tell."""
    for match in _AGE.finditer(lower):
        groups = match.groupdict()
        number = next(groups[f"n{place}"] for place in _NUMBERS if groups.get(f"n{place}") is not None)
        before = lower[max(0, match.start() - _LOOKED_BACK) : match.start()]
        if groups["sex"] in ("m", "f") and _NO_SEX.search(before):
            continue
        value = float(_WRITTEN.get(number) or number)
        units = (groups[f"unit{place}"] for place in _UNITS)
        unit = next((each for each in units if each), "d" if groups["n7"] or groups["n9"] else "y")
        years = value / _PER_YEAR[unit[0]]
        if years <= 120:
            yield Age(years, match.start(), match.end(), _whose(before, years, alone=groups["told"] is not None))


def _whose(before: str, years: float, *, alone: bool) -> bool | None:
    """Whose an age is by the words before it. One told `alone`, "aged 8", may be that of an operation."""
    if _ANOTHERS.search(before):
        return False
    if _MAYBE_ANOTHERS.search(before):
        return None
    return None if alone and years < GROWN_YEARS and not _OF_A_PERSON.search(before) else True


def children_of(lower: str) -> Iterator[Age]:
    """What words such as "baby" say of the patient's age, roughly; not those of another's child or a thing ("baby aspirin")."""
    for match in _BY_WORD.finditer(lower):
        before = lower[max(0, match.start() - _LOOKED_BACK) : match.start()]
        if not _ANOTHERS.search(before) and not _MAYBE_ANOTHERS.search(before):
            yield Age(_WORDS[match.group()], match.start(), match.end())


def patient_of(lower: str, ages: list[Age], child: Age | None) -> Patient:
    """Who the patient is by the ages, or by the word `child` where none is told."""
    children = [age.years for age in ages if age.whose and age.years < GROWN_YEARS]
    grown = [age.years for age in ages if age.whose and age.years >= GROWN_YEARS]
    if grown:
        return Patient((grown[0], *children[:1]))
    if children:
        return Patient((None, children[0]) if _names_a_grown_up(lower, ages) else (children[0],))
    doubtful = [age.years for age in ages if age.whose is None and age.years < GROWN_YEARS]
    if doubtful:
        return Patient((None, doubtful[0]))
    if child is None:
        return Patient((None,))
    may_be_grown = child.years >= _WORDS["child"] or _names_a_grown_up(lower, ages)
    return Patient((None, child.years) if may_be_grown else (child.years,))


def _names_a_grown_up(lower: str, ages: list[Age]) -> bool:
    """Whether a man or woman is spoken of, but for one whose age is another's: "born to a 33-year-old woman"."""
    ends = {age.end for age in ages if age.whose is False}
    return any(ends.isdisjoint((match.start() - 1, match.end())) for match in _A_GROWN_UP.finditer(lower))

"""Numbers of a sentence with their units, bounds and rates, comparable whatever way they are written.

`0.5 mg`, `.50 mg`, `500 micrograms` and `half a milligram` are one quantity; `5 to 10 mg`, `at least 65 years`, `twice a day`
and `10 mg/kg/day` are others. A number in a name (`COVID-19`, `B12`) is part of the name and none of a sentence.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assistant.knowledge.claims.units import NAME, UNITS

Bound = Literal["", ">", ">=", "<", "<=", "over", "in", "within"]
"""The last three are for a time: `over 15 minutes` may be how long something takes, or longer; `in` and `within` a time."""
Mismatch = Literal["number", "unit"]

_DAY_S = 86400.0
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SPELLED = {word: float(value) for value, word in enumerate(_SMALL.split())}
_SPELLED |= {word: 10.0 * place for place, word in enumerate(_TENS.split(), start=2)}
_SPELLED |= {"half": 0.5, "dozen": 12.0}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_WORDED = "|".join(sorted(_SPELLED, key=len, reverse=True))
_VALUE = re.compile(
    rf"(?:(?<![\w.])(?P<digits>(?:\d{{1,3}}(?:[,\u202f\u00a0]\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    rf"|\b(?P<words>(?:{_WORDED})(?:[\s-](?:{_WORDED}))*)\b(?![-\s](?:another|of\sthe)\b))"
    r"(?P<scale>(?:[\s-](?:hundred|thousand|million|billion))*)(?![\d_])(?!\.\d)"
)
_UNIT = re.compile(rf"(?:\s?-?\s?|\s(?:an?\s)?)(?P<unit>{NAME})(?![^\W_])")
_PER = re.compile(
    rf"\s?(?:/|\bper\b|\b(?:for\s)?every\b(?!\s\d)|\beach\b|\ban?\b(?=\s(?:second|minute|hour|day|week|month|year)))\s?"
    rf"(?P<count>\d+(?:\.\d+)?\s?)?(?P<unit>{NAME})(?![^\W_])"
    r"|\s?(?:of\sbody\sweight\s)?\(?(?P<adverb>hourly|daily|weekly|monthly|yearly|annually)\b"
)
_ENDS_IN_UNIT = re.compile(rf"\d\s?(?:{NAME})-$")
_NAMED = re.compile(r"\b(day|week|month|year|dose|stage|step|line|grade|type|cycle|phase|visit|part)\s$")
_OUT_OF = re.compile(r"\s(?:in|out\sof)\s(?:every\s)?\d")
_ADVERBS = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "yearly": "year",
    "annually": "year",
}
_PAIR = re.compile(r"(?<![\d/.])(\d{2,3})\s?/\s?(\d{2,3})(?![\d/])")
_RANGE = re.compile(r"\s?(?:-|–|—|−|\bto\b|\bthrough\b|\bup\sto\b)\s?")
_LIST = re.compile(r"\s?(?:,|/|\bor\b|\band\b|,\s?or\b|,\s?and\b)\s?")
_BEFORE: tuple[tuple[Bound, str], ...] = (
    ("<=", (r"\bno[t]?\s(?:be\s)?(?:more|greater|higher|older|longer|later|larger)\sthan|\bat\smost|\bup\sto|\bmaximum\sof"
           r"|\bnot\s(?:to\s)?exceed(?:ing)?|≤|<=|\bas\s(?:much|many)\sas")),
    (">=", r"\bno[t]?\s(?:be\s)?(?:less|fewer|lower|younger|shorter|smaller)\sthan|\bat\sleast|\bminimum\sof|≥|>=|=>"),
    (">", (r"\b(?:more|greater|higher|older|longer|larger|bigger|heavier|later|taller)\sthan|\bover|\babove|\bexceed(?:s|ing)?"
          r"|\bin\sexcess\sof|\bbeyond|>")),
    ("<", r"\b(?:less|fewer|lower|younger|shorter|smaller|lighter|earlier)\sthan|\bunder|\bbelow|<"),
    ("within", r"\bwithin"),
    ("in", r"\bin"),
)  # fmt: skip
_SAME_BOUNDS = frozenset(
    map(
        frozenset,
        (("over", ">"), ("over", ""), ("over", "in"), ("in", ""), ("in", "within"), ("within", "<="), ("within", "<")),
    )
)
_LEAD = r"\s?(?:(?:about|approximately|around|roughly|nearly|almost|some|an?|the|first|next|ages?|aged|of)\s)*$"
_BEFORE_PATTERNS = tuple((bound, re.compile(f"(?:{pattern}){_LEAD}")) for bound, pattern in _BEFORE)
_MORE = r"more|above|higher|greater|older|over|longer|later|up|upwards?"
_AFTER_PATTERNS: tuple[tuple[Bound, re.Pattern[str]], ...] = (
    (">=", re.compile(rf"\s?\+|\s?(?:of\sage\s)?,?\s?(?:or|and)\s(?:{_MORE})\b")),
    ("<=", re.compile(r"\s?(?:of\sage\s)?,?\s?(?:or|and)\s(?:less|below|lower|fewer|younger|under|shorter|earlier)\b")),
)
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_LATIN = {"bid": 2, "b.i.d": 2, "tid": 3, "t.i.d": 3, "tds": 3, "qid": 4, "q.i.d": 4, "qds": 4}
_FREQUENCY = re.compile(
    r"\b(?:(?P<times>once|twice|thrice)[\s-](?:(?P<adverb>hourly|daily|weekly|monthly|yearly|annually)"
    r"|(?:a|an|per|each|every)\s(?P<period>hour|day|week|month|year))"
    r"|(?P<latin>b\.?i\.?d|t\.?i\.?d|tds|q\.?i\.?d|qds)\b"
    r"|(?:every|each)\s(?P<each>hour|day|week|month|year)\b"
    r"|(?P<alone>daily|weekly|monthly|hourly|yearly|annually)\b)"
)
_INTERVAL = re.compile(
    rf"\bevery\s(?P<every>\d+|{_WORDED}|other)(?:\s?(?:-|to)\s?(?P<to>\d+|{_WORDED}))?\s(?P<unit>minute|hour|day|week|month|year)s?"
    r"|\b(?P<hourly>\d+)(?:\s?(?:-|to)\s?(?P<hourly_to>\d+))?[\s-]hourly|\bq(?P<q>\d+)h\b"
)


@dataclass(frozen=True)
class Quantity:
    """`low` and `high` are as written, equal for a single value; times `size` they are in the base units of `unit`.

    `unit` is what is measured, then what it is divided by (`("mass", "/mass", "/time")`), empty for a bare number.
    `start` and `end` are its place in the text; `names` is the word before it where it is no amount (`day 1`, `stage 2`).
    """

    low: float
    high: float
    bound: Bound
    unit: tuple[str, ...]
    size: float
    start: int
    end: int
    names: str = ""

    def equals(self, other: "Quantity") -> bool:
        """Whether both say the same."""
        same_low = math.isclose(self.low * self.size, other.low * other.size, rel_tol=1e-6)
        same_high = math.isclose(self.high * self.size, other.high * other.size, rel_tol=1e-6)
        return self.unit == other.unit and _same_bound(self.bound, other.bound) and same_low and same_high

    def looks_like(self, other: "Quantity") -> bool:
        """Whether the numbers are the same, whatever their units."""
        return (self.low, self.high) == (other.low, other.high) and _same_bound(self.bound, other.bound)


def read_quantities(text: str) -> list[Quantity]:
    """The quantities of a lowered text, in order."""
    found = _intervals(text)
    found += [
        each
        for each in _frequencies(text)
        if all(each.end <= other.start or each.start >= other.end for other in found)
    ]
    taken = [(each.start, each.end) for each in found]
    values = [_valued(text, match) for match in _VALUE.finditer(text) if _is_number(text, match, taken)]
    found += _with_shared_units(text, _with_ranges(text, values))
    return sorted((_with_bounds(text, each) for each in found), key=lambda each: each.start)


def read_pairs(text: str) -> frozenset[tuple[float, float]]:
    """The numbers written as `140/90`, whose order is theirs."""
    return frozenset((float(match[1]), float(match[2])) for match in _PAIR.finditer(text))


def mismatch(said: Sequence[Quantity], held: Sequence[Quantity]) -> Mismatch | None:
    """What is wrong with quantities that a sentence says, where its source holds others; None where all are in it.

    Each of the source stands for one of the sentence: `2 in 2` is not `1 in 2`.
    """
    left = list(held)
    wrong = []
    for each in said:
        equal = next((other for other in left if each.equals(other) or each.equals(_as_frequency(other))), None)
        if equal is not None:
            left.remove(equal)
        elif not _is_once_a_period(each, held):
            wrong.append(each)
    if not wrong:
        return None
    return "unit" if all(any(each.looks_like(other) for other in left) for each in wrong) else "number"


def _is_once_a_period(said: Quantity, held: Sequence[Quantity]) -> bool:
    """`10 mg a day` where the source has `10 mg once a day`."""
    for often in held:
        if often.unit[:1] == ("times",) and often.unit[1:] == said.unit[-1:] and often.low == often.high == 1:
            single = replace(said, unit=said.unit[:-1], size=said.size / often.size)
            return any(single.equals(each) for each in held)
    return False


def _same_bound(one: Bound, other: Bound) -> bool:
    return one == other or frozenset((one, other)) in _SAME_BOUNDS


def _as_frequency(interval: Quantity) -> Quantity:
    """Every 12 hours is twice a day; twice a day need not be every 12 hours."""
    if interval.unit != ("interval",) or interval.low != interval.high or interval.low <= 0:
        return interval
    times = _DAY_S / (interval.low * interval.size)
    if times < 1 or not math.isclose(times, round(times)):
        return interval
    return replace(interval, low=round(times), high=round(times), unit=("times", "/time"), size=1 / _DAY_S)


def _number(word: str) -> float:
    return 2.0 if word == "other" else _SPELLED[word] if word in _SPELLED else float(word)


def _intervals(text: str) -> list[Quantity]:
    found = []
    for match in _INTERVAL.finditer(text):
        low = match["every"] or match["hourly"] or match["q"]
        high = match["to"] or match["hourly_to"] or low
        kind, size = UNITS[match["unit"] or "hour"]
        unit = ("interval",) if kind == "time" else ("interval in months",)
        found.append(Quantity(_number(low), _number(high), "", unit, size, match.start(), match.end()))
    return found


def _frequencies(text: str) -> list[Quantity]:
    found = []
    for match in _FREQUENCY.finditer(text):
        if (match["each"] or match["alone"]) and re.search(
            rf"(?<![^\W\d_])(?:{NAME})\s?\(?$", text[max(0, match.start() - 24) : match.start()]
        ):
            continue  # `10 mg daily` is a rate, and part of the number before it
        times = _TIMES[match["times"]] if match["times"] else _LATIN.get(match["latin"] or "", 1)
        name = _ADVERBS.get(match["adverb"] or match["alone"] or "", match["period"] or match["each"] or "day")
        kind, size = UNITS[name]
        found.append(Quantity(times, times, "", ("times", f"/{kind}"), 1 / size, match.start(), match.end()))
    return found


def _is_number(text: str, match: re.Match[str], taken: Sequence[tuple[int, int]]) -> bool:
    start, end = match.span()
    if any(start < other_end and end > other_start for other_start, other_end in taken):
        return False
    has_unit = _UNIT.match(text, end) is not None
    if match["digits"] is not None:
        in_name = (
            text[start - 2 : start - 1].isalpha()
            and text[start - 1] == "-"
            and not _ENDS_IN_UNIT.search(text, 0, start)
        )
        return not in_name and (has_unit or not text[end : end + 1].isalpha())
    # `one` is a number only where it counts something that can be counted.
    return match["words"] != "one" or bool(match["scale"]) or has_unit or bool(_OUT_OF.match(text, end))


def _valued(text: str, match: re.Match[str]) -> Quantity:
    if match["digits"] is not None:
        value = float(re.sub(r"[,\u202f\u00a0]", "", match["digits"]))
    else:
        value = sum(_SPELLED[word] for word in re.split(r"[\s-]", match["words"]))
    for scale in re.findall(r"[a-z]+", match["scale"]):
        value *= _SCALES[scale]
    unit, size, end = _unit_at(text, match.end())
    named = None if unit else _NAMED.search(text, 0, match.start())
    return Quantity(value, value, "", unit, size, match.start(), end, named[1] if named else "")


def _unit_at(text: str, start: int) -> tuple[tuple[str, ...], float, int]:
    match = _UNIT.match(text, start)
    if match is None or (match["unit"] in {"s", "m", "u"} and match.start("unit") == start):
        return (), 1.0, start
    kind, size = UNITS[match["unit"]]
    unit, end = [kind], match.end()
    while (per := _PER.match(text, end)) is not None:
        divisor = per["unit"] or _ADVERBS[per["adverb"]]
        divisor_kind, divisor_size = UNITS[divisor]
        unit.append(f"/{divisor_kind}")
        size /= divisor_size * float(per["count"] or 1)
        end = per.end()
    return (unit[0], *sorted(unit[1:])), size, end


def _with_ranges(text: str, values: Sequence[Quantity]) -> list[Quantity]:
    found: list[Quantity] = []
    for value in values:
        before = found[-1] if found else None
        if before is not None and before.low == before.high and _is_range(text, before, value):
            found[-1] = Quantity(before.low, value.low, "", value.unit, value.size, before.start, value.end)
            if not value.unit:
                found[-1] = replace(found[-1], unit=before.unit, size=before.size)
        else:
            found.append(value)
    return found


def _is_range(text: str, before: Quantity, value: Quantity) -> bool:
    between = text[before.end : value.start]
    if before.unit and value.unit and (before.unit, before.size) != (value.unit, value.size):
        return False  # `500 mg to 1 g` is said with two units: two values
    if _RANGE.fullmatch(between):
        return before.low < value.low
    return bool(re.fullmatch(r"\s?and\s?", between)) and bool(re.search(r"\bbetween\s?$", text[: before.start]))


def _with_shared_units(text: str, values: Sequence[Quantity]) -> list[Quantity]:
    """`6, 12 and 18 months`: the unit of the last is that of all."""
    found = list(values)
    for place in range(len(found) - 2, -1, -1):
        this, following = found[place], found[place + 1]
        if not (this.unit or this.names) and following.unit and _LIST.fullmatch(text[this.end : following.start]):
            found[place] = replace(this, unit=following.unit, size=following.size)
    return found


def _with_bounds(text: str, value: Quantity) -> Quantity:
    """The quantity with the words that bound it, which then belong to its span."""
    begin = max(0, value.start - 48)
    before = text[begin : value.start]
    for bound, pattern in _BEFORE_PATTERNS:
        if (found := pattern.search(before)) is not None:
            is_time = value.unit in (("time",), ("month",))
            if bound == "in" and not is_time:
                continue
            takes_time = value.unit == ("time",) and found.group().startswith("over")
            return replace(value, bound="over" if takes_time else bound, start=begin + found.start())
    for bound, pattern in _AFTER_PATTERNS:
        if (found := pattern.match(text, value.end)) is not None:
            return replace(value, bound=bound, end=found.end())
    return value

"""Vital signs and values, read from the words around each number into the units of signs.toml."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from re import compile as pattern
from typing import NamedTuple

from assistant.safety.words import Token
from models.tables import read_rows

_FILLERS = frozenset(
    """of is was are at : = - + ~ ( < > ≤ ≥ around about approx approximately now only reads reading up down to currently over
    under above below rate than more less roughly some nearly estimated central and""".split()
)
_MOST_WORDS_BACK = 6
_LONGEST_NAME = 3
_NUMBER = pattern(r"(\d{1,4}(?:\.\d{1,2})?)([a-z]*)")
_GLUED = pattern(r"(hr|rr|bp|t|temp|gcs|sats|bm|k)(\d{1,4}(?:\.\d{1,2})?)([a-z]*)")
_COMPARISONS = {
    "<": -1e-3, "below": -1e-3, "under": -1e-3, ">": 1e-3, "above": 1e-3, "over": 1e-3, "≤": 0.0, "≥": 0.0, "than": 0.0,
}  # fmt: skip
"""Before a number: what is told is a bound, and the value lies a little beyond it."""
_ALERTNESS = {"a": 4.0, "alert": 4.0, "v": 3.0, "voice": 3.0, "p": 2.0, "pain": 2.0, "u": 1.0, "unresponsive": 1.0}
_TABLETS = ("tablet", "tab", "pill", "capsule", "caps")
_MEDICINES = (
    "line pram etine olol azepam zolam dipine apine azole profen amol aminophen codone codeine adone pril sartan formin statin"
    " oxin adol phine clone pidem aspirin lithium digoxin gabalin gabapentin barbital"
).split()  # fmt: skip
"""How names of medicines end: "took 20 amitriptyline" counts tablets."""
_BEFORE_MEDICINE = frozenset("x of his her my their the".split())
_FEWEST_OF_A_MEDICINE = 10.0
"""Fewer of them may be milligrams."""
_COMA_SCORE = pattern(r"e([1-4])v([1-5t])m([1-6])")
_MG_DL_PER_MMOL = 18.016  # of glucose
_HOTTEST_CELSIUS = 86.0
_GESTATION = ("pregnant", "gestation", "gravid", "by", ",", ".", "")
_OLDEST_AS_WEEKS = 14.0  # fewer weeks with nothing behind them may be an age
_FASTEST_BREATHING = 90.0  # per minute: more is a pulse
_UNITS = {
    word: unit
    for unit, words in {
        "f": "f fahrenheit", "c": "c celsius", "mg": "mg mgdl", "m": "m metre metres meter meters", "ft": "ft feet foot",
        "ml": "ml mls", "l": "l litre litres liter liters", "%": "% percent", "bpm": "bpm", "mmol": "mmol",
        "time": "d day days h hour hours weeks months times",
    }.items()
    for word in words.split()
}  # fmt: skip


@dataclass(frozen=True)
class Sign:
    """A vital sign or value; one beyond `lowest` or `highest` is no reading of it."""

    id: str
    unit: str
    lowest: float
    highest: float
    names: tuple[str, ...] = ()


class Reading(NamedTuple):
    """A value of a sign, and the places of its first and last word. A criterion has a comparison before the number."""

    sign: str
    value: float
    first: int
    last: int
    criterion: bool


class _Number(NamedTuple):
    """A number in a text: its place, and the letters that are glued to it."""

    place: int
    value: float
    suffix: str


@cache
def signs() -> dict[str, Sign]:
    """All signs by their ids. Raises ModelFileError where the file is damaged."""
    return {sign.id: sign for sign in read_rows(Path(__file__).with_name("signs.toml"), "sign", Sign)}


@cache
def _names() -> dict[str, str]:
    return {name: sign.id for sign in signs().values() for name in sign.names}


def readings_of(tokens: Sequence[Token]) -> Iterator[Reading]:
    """All of them, in the order of the text."""
    for place, (word, *_) in enumerate(tokens):
        if word[0] == "e" and word[1:2].isdigit():
            yield from _coma_score(tokens, place)
        elif word[-1].isdigit() or word[0].isdigit():
            yield from _numbered(tokens, place, word)
        elif word == "avpu":
            yield from _alertness(tokens, place)


def _numbered(tokens: Sequence[Token], place: int, word: str) -> Iterator[Reading]:
    if (glued := _GLUED.fullmatch(word)) is not None:
        yield from _read(tokens, _names()[glued.group(1)], place, _Number(place, float(glued.group(2)), glued.group(3)))
        return
    if (match := _NUMBER.fullmatch(word)) is None:
        return
    number = _Number(place, float(match.group(1)), match.group(2))
    sign, first = _named_before(tokens, place)
    if sign is None:
        sign = _named_behind(tokens, number)
    if sign is not None:
        yield from _read(tokens, sign, first, number)


def _read(tokens: Sequence[Token], sign: str, first: int, number: _Number) -> Iterator[Reading]:
    between = (tokens[place].word for place in range(number.place - 1, first, -1))
    compared = next((word for word in between if word in _COMPARISONS), None)
    value = number.value + (0.0 if compared is None else _COMPARISONS[compared])
    if sign == "bp":
        diastolic, last = _diastolic(tokens, number.place)
        values = [("sbp", value), ("dbp", diastolic)]
    else:
        unit, last = _unit(tokens, number)
        values = [(sign, _converted(sign, value, unit))]
    for name, found in values:
        if found is not None and signs()[name].lowest <= found <= signs()[name].highest:
            yield Reading(name, found, first, last, compared is not None)


def _converted(sign: str, value: float, unit: str) -> float | None:
    """In the sign's own unit; None where the unit is of something else, a duration for instance."""
    of_units: dict[str, dict[str, float | None]] = {
        "fall_m": {"m": value, "ft": value * 0.3048},
        "tablets": {"tablets": value},
        "blood_loss_ml": {"ml": value, "l": value * 1000},
        "pef": {"%": value},
    }
    if sign in of_units:
        return of_units[sign].get(unit)
    if unit == "time":
        return value if sign == "gestation_weeks" else None
    if sign == "temp" and (unit == "f" or value > _HOTTEST_CELSIUS):
        return (value - 32) / 1.8
    if sign == "glucose" and (unit == "mg" or (not unit and value > 35)):
        return value / _MG_DL_PER_MMOL
    return value / 1000 if sign == "neutrophils" and value > 100 else value


def _unit(tokens: Sequence[Token], number: _Number) -> tuple[str, int]:
    """The unit behind a number, at most a degree sign between, and the place of its last word."""
    place = number.place
    if number.suffix in _UNITS:
        return _UNITS[number.suffix], place
    behind = [
        at for at in range(place + 1, min(place + 5, len(tokens))) if tokens[at].sentence == tokens[place].sentence
    ]
    for at in behind[:2]:
        if tokens[at].word in _UNITS:
            return _UNITS[tokens[at].word], at
        if tokens[at].word != "°":
            break
    tablets = [at for at in behind if tokens[at].word.startswith(_TABLETS)]
    counted = next((at for at in behind if tokens[at].word not in _BEFORE_MEDICINE), place)
    if not tablets and number.value >= _FEWEST_OF_A_MEDICINE and tokens[counted].word.endswith(tuple(_MEDICINES)):
        tablets = [counted]
    return ("tablets", tablets[0]) if tablets else ("", place)


def _diastolic(tokens: Sequence[Token], place: int) -> tuple[float | None, int]:
    """The second of 180/110, 180 over 110."""
    if place + 2 < len(tokens) and tokens[place + 1].word in ("/", "over"):
        match = _NUMBER.fullmatch(tokens[place + 2].word)
        if match is not None:
            return float(match.group(1)), place + 2
    return None, place


def _named_before(tokens: Sequence[Token], place: int) -> tuple[str | None, int]:
    at, farthest = place - 1, place - _MOST_WORDS_BACK
    while at > max(farthest, 0) and tokens[at].word in _FILLERS:
        at -= 1
    if at < 0 or tokens[at].sentence != tokens[place].sentence:
        return None, place
    for first in range(max(at + 1 - _LONGEST_NAME, 0), at + 1):
        name = " ".join(token.word for token in tokens[first : at + 1])
        if name in _names():
            return _names()[name], first
    return None, place


def _named_behind(tokens: Sequence[Token], number: _Number) -> str | None:
    """What a number is that its unit names: 172 bpm, 84% on air, 30% TBSA, 180/110 mmHg, 32/40."""
    one, two, three, *_ = *(token.word for token in tokens[number.place + 1 : number.place + 4]), "", "", ""
    per_minute = one == "/" and two in ("min", "minute")
    dated = one in ("weeks", "wks") and two in _GESTATION and number.value >= _OLDEST_AS_WEEKS
    named = {
        "hr": "bpm" in (number.suffix, one)
        or (one, two) == ("beats", "per")
        or (per_minute and number.value > _FASTEST_BREATHING),
        "rr": one == "breaths" and two in ("per", "/", "a"),
        "tbsa": one == "%" and (two in ("tbsa", "bsa", "burn", "burns") or (two, three) == ("of", "body")),
        "spo2": (one in ("%", "percent") and two == "on" and three in ("air", "room", "ra", "oxygen")),
        "bp": one == "/" and three == "mmhg",
        "gestation_weeks": dated or (one, two) == ("/", "40") or (one == "+" and two in tuple("0123456")),
    }
    return next((sign for sign, holds in named.items() if holds), None)


def _coma_score(tokens: Sequence[Token], place: int) -> Iterator[Reading]:
    """The sum of E2V2M4, in one word or three; a tube for V counts one."""
    for last in (place, place + 2, place + 4):  # with commas between: E2, V2, M4
        whole = "".join(token.word for token in tokens[place : last + 1] if token.word not in (",", "-", "/"))
        if (match := _COMA_SCORE.fullmatch(whole)) is not None:
            parts = (1.0 if part == "t" else float(part) for part in match.groups())
            yield Reading("gcs", sum(parts), place, last, criterion=False)
            return


def _alertness(tokens: Sequence[Token], place: int) -> Iterator[Reading]:
    for at in range(place + 1, min(place + 4, len(tokens))):
        if (value := _ALERTNESS.get(tokens[at].word)) is not None:
            yield Reading("avpu", value, place, at, criterion=False)
            return

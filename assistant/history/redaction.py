"""Identifiers in a text, replaced by what they are: dates, names, numbers, addresses. Fixed rules, the same every time.

They find what is written in common English forms, and no more: a name without a title stays. Medical quantities stay too:
a number with a unit behind it identifies nobody.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

# Where a place in a text is after its identifiers were replaced.
Place = Callable[[int], int]
LIMITS = "Identifiers in common forms were replaced by fixed rules; others remain: read it before you pass it on."

_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"JANUARY|FEBRUARY|MARCH|APRIL|MAY|JUNE|JULY|AUGUST|SEPTEMBER|OCTOBER|NOVEMBER|DECEMBER|"
    r"(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|JAN|FEB|MAR|APR|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\b\.?)"
)
_DAY, _DAY_OF_MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"
_UNIT = (
    r"(?!\s?-?(?:%|°|[µμu]?(?:g|mol|L|l|m)\b|[mkdcnpM](?:g|mol|L|l|m|Eq|SI)\b|mcg|microgram|milligram|gram|mmHg|cmH2O|kPa|"
    r"I?U\b|[Uu]nits?\b|international|iu\b|m?Eq\b|mEq|bpm|beats|breaths|cells|copies|CFU|cfu|platelets|/\s?(?:[µμu]?[mdcn]?[LlgG]|"
    r"mm|min|h|hour|day|kg|cubic|hpf|HPF|field)|per\b|[x×]\s?10|kcal|cal\b|kJ|J\b|Hz|Gy|mSv|Sv|[Mm]?Bq|ppm|mOsm|"
    r"years?\b|yrs?\b|y/?o\b|months?\b|weeks?\b|days?\b|hours?\b|hrs?\b|h\b|minutes?\b|mins?\b|seconds?\b|s\b|times\b|"
    r"tablets?\b|capsules?\b|puffs?\b|drops?\b|doses?\b|people\b|patients\b|adults\b|children\b|women\b|men\b|births\b))"
)
_NUMBER_END = r"(?![\w^])(?![.,]\d)" + _UNIT
_UPPER = r"[A-ZÀ-ÖØ-Þ]"
_PARTICLE = r"(?:van|von|de|der|den|del|della|di|da|dos|du|la|le|bin|ibn|al|el|ter|ten)"
_NAME = rf"(?:(?:{_PARTICLE}[ -])*{_UPPER}(?:[^\W\d_]|['’-](?=[^\W\d_]))+|{_UPPER}\b\.?)"
_NAMES = rf"{_NAME}(?:[ \t]+{_NAME}){{0,3}}"
_STATE = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
)
_STREET = (
    "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Close|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Square|Sq|Terrace|Crescent|"
    "Gardens|Grove|Hill|Mews|Walk|Parade|Highway|Hwy"
)
_NUMBERED = r"(?:no|nr|num|number|id)\b\.?"


@dataclass(frozen=True)
class Span:
    """A piece of a text, and what stands in its place; `end` is exclusive."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    replacement: str | None
    """None keeps the piece, whatever a later rule says of it. Only the group `it` is replaced, where there is one."""


def _rules(replacement: str | None, *patterns: str) -> list[_Rule]:
    return [_Rule(re.compile(pattern), replacement) for pattern in patterns]


# The first rule that finds a piece has it.
_RULES = (
    *_rules("[e-mail]", r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    *_rules("[link]", r"(?:\b[a-zA-Z][a-zA-Z+.-]{0,15}://|\bwww\.)[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]"),
    *_rules(None, r"\b(?:NCT|PMC|PMID:? ?|ISRCTN)\d+"),
    *_rules(
        "[date]",
        rf"\b{_YEAR}([-/.])(?:0?[1-9]|1[0-2])\1{_DAY}(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?{_NUMBER_END}",
        rf"(?<![\w.,/-]){_DAY}([-/.]){_DAY}\1(?:{_YEAR}|\d\d){_NUMBER_END}",
        rf"\b{_DAY_OF_MONTH}[ -]?(?:of )?{_MONTH}(?:,?[ -]?(?:{_YEAR}|['’]?\d\d\b))?(?!\d)",
        rf"\b{_MONTH} ?{_DAY_OF_MONTH}(?:,? {_YEAR})?(?!\d){_NUMBER_END}",
        rf"\b{_MONTH},? (?:of )?{_YEAR}\b",
        rf"(?i:\bborn|\bd\.?o\.?b\b\.?|\bdate of birth)(?i:[:\s]|is\b|was\b|in\b|on\b)*(?P<it>{_YEAR})\b",
    ),
    *_rules(
        "[number]",
        r"(?<![\w.,-])\d{3}-\d{2}-\d{4}" + _NUMBER_END,
        r"(?<![\w.,-])\d{3}([ -])\d{3}\1\d{4}" + _NUMBER_END,
        r"\b[A-CEGHJ-PR-TW-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]\b",
        rf"(?i:\b(?:MRN|NHS|SSN|CHI|NI|hospital|patient|medical record|record|case|chart|insurance|policy|account|"
        rf"passport|licen[cs]e)\b(?:\s{{1,2}}{_NUMBERED})?|\bID\b)[\s:#=]{{0,3}}(?P<it>[A-Za-z]{{0,4}}-?\d[\d-]{{3,}}\d\w?)"
        + _NUMBER_END,
    ),
    *_rules(
        "[phone]",
        r"(?<![\w.,+])(?:\+|00)\d{1,3}(?:[ ().-]{0,2}\d){6,13}" + _NUMBER_END,
        r"(?<![\w.,-])\(?0\d{2,4}\)?[ -]\d{3,4}(?:[ -]?\d{3,4})?" + _NUMBER_END,
        r"(?<![\w.,-])\(\d{3}\) ?\d{3}[-. ]\d{4}" + _NUMBER_END,
        r"(?<![\w.,-])\d{3}\.\d{3}\.\d{4}" + _NUMBER_END,
        r"(?i:\b(?:phone|telephone|tel|mobile|cell|call|ring|fax)\b)[\s.:]{0,3}(?P<it>\d(?:[ -]?\d){5,13})"
        + _NUMBER_END,
    ),
    *_rules("[number]", r"(?<![\w.,/^-])(?:[A-Z]{1,4}-?)?\d{6,}" + _NUMBER_END),
    *_rules(
        "[postcode]",
        r"\b(?:GIR 0AA|[A-Z]{1,2}\d[A-Z\d]? ?\d(?!NG\b)[ABD-HJLNP-UW-Z]{2})\b",
        rf"\b(?:{_STATE})\b,? (?P<it>\d{{5}}(?:-\d{{4}})?){_NUMBER_END}",
        r"(?<![\w.,-])\d{5}-\d{4}" + _NUMBER_END,
    ),
    *_rules(
        "[address]",
        rf"\b\d{{1,5}}[A-Za-z]?,? (?:{_UPPER}[\w'’.-]* ){{1,3}}(?:{_STREET})\b\.?",
        r"\bP\.? ?O\.? Box \d+",
    ),
    *_rules(
        "[name]",
        rf"\b(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Professor|Doctor|Sir|Madam|Revd?|Lady|Lord)\b\.?[ \t]+(?P<it>{_NAMES})",
        r"\b(?i:mrs?)\b\.?[ \t]+(?P<it>(?!(?i:scan|imag|angio|venogr|cholangio|enterogr|elasto|spectro|urogr))[^\W\d_]{2,})",
        rf"\b(?i:patient|(?:sur|fore|first|last|full )?name)\b(?: is| was)?(?: ?[:=])[ \t]*(?P<it>{_NAMES})",
        rf"\b(?i:name is|is called|named)[ \t]+(?P<it>{_NAMES})",
    ),
)


def identifiers(text: str) -> list[Span]:
    """What is to be replaced, in the order of the text; pieces do not overlap."""
    taken: list[tuple[int, int]] = []
    found: list[Span] = []
    for rule in _RULES:
        for match in rule.pattern.finditer(text):
            start, end = _piece(match)
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            taken.append((start, end))
            if rule.replacement is not None:
                found.append(Span(start, end, rule.replacement))
    return sorted(found, key=lambda span: span.start)


def _piece(match: re.Match[str]) -> tuple[int, int]:
    inner = match.groupdict().get("it")
    return match.span() if inner is None else match.span("it")


def redact(text: str) -> str:
    """The text with its identifiers replaced."""
    return replaced(text, identifiers(text))


def replaced(text: str, spans: list[Span]) -> str:
    """The text with each piece replaced."""
    pieces, done = [], 0
    for span in spans:
        pieces += [text[done : span.start], span.replacement]
        done = span.end
    return "".join(pieces) + text[done:]


def moved(spans: list[Span]) -> Place:
    """Where a place in the text is afterwards; one inside of a piece is at its end."""

    def place(offset: int) -> int:
        shift = 0
        for span in spans:
            if span.start >= offset:
                break
            shift += len(span.replacement) - (min(span.end, offset) - span.start)
            if offset < span.end:
                break
        return offset + shift

    return place

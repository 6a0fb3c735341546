"""The red-flag screen: what a conversation says of its patient, and which rules that meets.

Deterministic, and in time that grows with the text only.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assistant.safety.contacts import Contact
from assistant.safety.context import states_of
from assistant.safety.language import not_english
from assistant.safety.patient import GROWN_YEARS, Age, Patient, ages_of, children_of, patient_of
from assistant.safety.phrases import Found
from assistant.safety.readings import Reading, readings_of
from assistant.safety.rules import SEVERITIES, Rule, RuleBook, rule_book
from assistant.safety.words import Token, lowered, tokens_of

_SEPARATOR = "\n\n"
_MOTHERS = {"pregnant", "delivered", "obstetric-event", "early-pregnancy"}


@dataclass(frozen=True)
class Place:
    """Where something stands: the number of the text among those screened, and code points in it, end exclusive."""

    text: int
    start: int
    end: int


@dataclass(frozen=True)
class Finding:
    """A rule that the texts meet, and the words that meet it, in the order of the rule's needs."""

    rule: Rule
    places: tuple[Place, ...]
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True)
class Screened:
    """What was found, emergencies first. `reason` says why some or all rules do not apply; findings may be there all the same."""

    version: str
    reason: str | None
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every rule for this patient was applied: else silence must not be read as no danger."""
        return self.reason is None


def screen(texts: Sequence[str], contacts: Sequence[Contact] = ()) -> Screened:
    """Screen the texts of one conversation, all of which are taken to speak of one patient."""
    book = rule_book()
    lower = [lowered(text) for text in texts]
    reading = _Reading(book, _SEPARATOR.join(lower))
    starts = _starts(lower)
    findings = [
        Finding(rule, tuple(_place(starts, span) for span in spans), tuple(contacts) if rule.contacts else ())
        for rule in book.rules
        if rule.is_for_any(reading.patient.ages) and (spans := reading.met(rule))
    ]
    findings.sort(key=lambda each: (SEVERITIES.index(each.rule.severity), each.places[0].text, each.places[0].start))
    return Screened(book.version, _reason(book, lower, reading.patient), tuple(findings))


def _reason(book: RuleBook, lower: Sequence[str], patient: Patient) -> str | None:
    """Why some rules were not applied, or may not be for this patient; None where there is no doubt."""
    reasons = [reason for text in lower if (reason := not_english(text, book.findings.knows)) is not None]
    if reasons:
        return f"{reasons[0]}; the rules are written for English"
    age = patient.ages[-1]
    if age is None or age >= GROWN_YEARS:
        return None
    if patient.is_unclear:
        return f"the patient's age is unclear: rules for adults and for about {_told(age)} were applied"
    left_out = [rule for rule in book.rules if rule.min_age >= GROWN_YEARS and not rule.is_for(age)]
    youngest = min(rule.min_age for rule in left_out)
    names = ", ".join(rule.id for rule in left_out)
    return f"age about {_told(age)}: rules for {youngest:.0f} years and over were not applied ({names})"


def _told(age_years: float) -> str:
    if age_years >= 2:
        return f"{age_years:.0f} years"
    return f"{age_years * 12:.0f} months" if age_years >= 0.25 else f"{age_years * 365:.0f} days"


def _starts(lower: Sequence[str]) -> list[int]:
    starts = [0]
    for text in lower:
        starts.append(starts[-1] + len(text) + len(_SEPARATOR))
    return starts[:-1] or [0]


def _place(starts: Sequence[int], span: tuple[int, int]) -> Place:
    number = bisect_right(starts, span[0]) - 1
    return Place(number, span[0] - starts[number], span[1] - starts[number])


@dataclass
class _Reading:
    """One text with all that it says."""

    book: RuleBook
    lower: str
    tokens: list[Token] = field(init=False)
    spans: Mapping[str, list[tuple[int, int]]] = field(init=False)
    patient: Patient = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = tokens_of(self.lower)
        found = list(self.book.findings.find(self.tokens))
        readings = list(readings_of(self.tokens))
        ages = list(ages_of(self.lower))
        children = [] if ages else list(children_of(self.lower))
        spoken_of = {place for each in found for place in each.places}
        looked_at = spoken_of | {reading.last for reading in readings} | set(self._places(children))
        cues = self.book.cues.find(self.tokens, {self.tokens[place].sentence for place in looked_at})
        on_somebody = set(self._places(ages)) | {reading.last for reading in readings if not reading.criterion}
        self._states = states_of(self.tokens, cues, spoken_of, on_somebody)
        self.spans = self._collect(found, readings)
        self.patient = patient_of(self.lower, ages, self._first_of(children))

    def _places(self, ages: Iterable[Age]) -> list[int]:
        """The tokens that ages begin with."""
        begins = [token.start for token in self.tokens]
        return [max(bisect_right(begins, age.start) - 1, 0) for age in ages]

    def _first_of(self, children: Sequence[Age]) -> Age | None:
        """A baby that is spoken of with its mother is not the patient, nor is one that a question on a subject names."""
        if _MOTHERS & self.spans.keys():
            return None
        places = self._places(children)
        return next((child for child, place in zip(children, places, strict=True) if not self._states[place]), None)

    def _collect(self, found: Iterable[Found], readings: Iterable[Reading]) -> dict[str, list[tuple[int, int]]]:
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for name, first, last in self._named(found, readings):
            if not (self._states[first] | self._states[last]) & ~self.book.counts_when[name]:
                spans[name].append((self.tokens[first].start, self.tokens[last].end))
        return spans

    def _named(self, found: Iterable[Found], readings: Iterable[Reading]) -> Iterator[tuple[str, int, int]]:
        for each in found:
            yield each.name, each.first, each.last
        for reading in readings:
            for name, bound in self.book.bounds.get(reading.sign, ()):
                if bound.holds(reading.value):
                    yield name, reading.first, reading.last

    def met(self, rule: Rule) -> list[tuple[int, int]]:
        """The words that meet the rule, one span for each thing that it needs; empty where it is not met."""
        if any(self.spans.get(name) for name in rule.unless):
            return []
        spans: list[tuple[int, int]] = []
        for group in rule.groups:
            options = [span for name in group for span in self.spans.get(name, ())]
            if not options:
                return []
            spans.append(min(options, key=_first_and_longest))
        if rule.two_of:
            there = sorted(
                min(self.spans[name], key=_first_and_longest) for name in rule.two_of if self.spans.get(name)
            )
            if len(there) < 2:
                return []
            spans += there
        return [span for span in dict.fromkeys(spans) if not any(_within(span, other) for other in spans)]


def _first_and_longest(span: tuple[int, int]) -> tuple[int, int]:
    return span[0], -span[1]


def _within(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]

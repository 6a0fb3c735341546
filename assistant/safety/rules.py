"""The rules, findings and cues of the data files, read once and checked: every name that a rule uses exists."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assistant.safety.context import State
from assistant.safety.phrases import Lexicon
from assistant.safety.readings import signs
from models.tables import read_rows

SEVERITIES = ("emergency", "urgent")
_ADULT_YEARS = 30.0
"""A text that tells no age is read as one on an adult: rules that end below this age speak of none."""
_STATES = {"past": State.PAST, "over": State.OVER, "chronic": State.CHRONIC, "possible": State.POSSIBLE}
_BOUND = re.compile(r"(\w+) (<=|>=|<|>) (\d+(?:\.\d+)?)")
SKIPPED = frozenset(
    "a an the my his her their your our this some of is was are were be been very really quite so just".split()
)
SKIPPED_OF_CUES = frozenset("a an the any some".split())


@dataclass(frozen=True)
class Rule:
    """A red flag. `min_age` and `max_age` are years, from and below."""

    id: str
    severity: str
    meaning: str
    source: str
    date: str
    since: str
    needs: tuple[str, ...] = ()
    two_of: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    min_age: float = 0.0
    max_age: float = 200.0
    age_known: bool = False
    contacts: bool = False

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Of each group one finding has to be there."""
        return tuple(tuple(group.split("|")) for group in self.needs)

    def is_for(self, age_years: float | None) -> bool:
        """Whether the rule speaks of that age; None reads as any adult's."""
        if age_years is None:
            return not self.age_known and self.max_age > _ADULT_YEARS
        return self.min_age <= age_years < self.max_age

    def is_for_any(self, ages_years: Iterable[float | None]) -> bool:
        """Whether it speaks of one of the ages."""
        return any(self.is_for(age) for age in ages_years)


@dataclass(frozen=True)
class Bound:
    """A reading beyond `limit` of its sign."""

    sign: str
    relation: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the value lies beyond."""
        below, equal = value < self.limit, value == self.limit
        return {"<": below, "<=": below or equal, ">": not below and not equal, ">=": not below}[self.relation]


@dataclass(frozen=True)
class FindingRow:
    """What a text may say of a patient; `counts_when` names states in which it counts all the same."""

    id: str
    phrases: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
    counts_when: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cue:
    """Words that change what others say."""

    id: str
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class RuleBook:
    """Everything that a text is read by."""

    rules: tuple[Rule, ...]
    bounds: dict[str, tuple[tuple[str, Bound], ...]]
    """Of each sign the findings that a reading of it can be."""
    counts_when: dict[str, int]
    """Of each finding the bits of `State` in which it counts all the same."""
    findings: Lexicon
    cues: Lexicon

    @property
    def version(self) -> str:
        """The latest change of a rule."""
        return max(rule.since for rule in self.rules)


@cache
def rule_book() -> RuleBook:
    """The packaged rules. Raises ModelFileError or ValueError where the files are damaged."""
    folder = Path(__file__).parent
    rules = read_rows(folder / "rules.toml", "rule", Rule)
    rows = read_rows(folder / "findings.toml", "finding", FindingRow)
    cues = read_rows(folder / "cues.toml", "cue", Cue)
    known = {row.id for row in rows}
    for rule in rules:
        unknown = {name for group in (*rule.groups, rule.two_of, rule.unless) for name in group} - known
        if unknown or rule.severity not in SEVERITIES or not (rule.needs or rule.two_of):
            raise ValueError(f"rule {rule.id}: {rule.severity}, {sorted(unknown)}; correct rules.toml")
    return RuleBook(
        rules,
        _by_sign([(row.id, _bound(text)) for row in rows for text in row.readings]),
        {row.id: sum(_STATES[name] for name in row.counts_when) for row in rows},
        Lexicon({row.id: row.phrases for row in rows}, SKIPPED),
        Lexicon({cue.id: cue.phrases for cue in cues}, SKIPPED_OF_CUES),
    )


def _by_sign(bounds: list[tuple[str, Bound]]) -> dict[str, tuple[tuple[str, Bound], ...]]:
    return {
        sign: tuple(each for each in bounds if each[1].sign == sign) for sign in {bound.sign for _, bound in bounds}
    }


def _bound(text: str) -> Bound:
    match = _BOUND.fullmatch(text)
    if match is None or match.group(1) not in signs():
        raise ValueError(f"reading {text!r} is no bound of a known sign; correct findings.toml")
    return Bound(match.group(1), match.group(2), float(match.group(3)))

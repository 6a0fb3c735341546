"""The written cases of the screen, and what it makes of them."""

from dataclasses import dataclass
from pathlib import Path

from assistant.safety.screen import screen

FILE = Path(__file__).with_name("cases.txt")


@dataclass(frozen=True)
class Case:
    """A text, and the rules of which one has to be found; a near miss has none."""

    group: str
    expected: frozenset[str]
    text: str

    @property
    def found(self) -> set[str]:
        return {finding.rule.id for finding in screen([self.text]).findings}

    @property
    def is_right(self) -> bool:
        return bool(self.found & self.expected) if self.expected else not self.found


def read_cases() -> list[Case]:
    rows = [line.split(" | ") for line in FILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [
        Case(group, frozenset(expected.split()) - {"-"}, text.removesuffix(" |")) for group, expected, text, *_ in rows
    ]

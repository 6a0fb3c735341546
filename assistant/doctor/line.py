"""What one check found: a line of the report."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "fault"]
"""All is well; it works but something should be mended; it does not work, or patients' text is open to others."""


@dataclass(frozen=True)
class Line:
    """One line. `remedy` is a sentence, and the commands that mend it behind it, one a line; None where all is well."""

    name: str
    state: State
    found: str
    remedy: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """As `json` takes it."""
        return asdict(self)


def ok(name: str, found: str) -> Line:
    """All is well."""
    return Line(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Line:
    """It works, and something should be mended."""
    return Line(name, "warning", found, remedy)


def fault(name: str, found: str, remedy: str) -> Line:
    """It does not work, or patients' text is open to others."""
    return Line(name, "fault", found, remedy)

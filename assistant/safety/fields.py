"""What the screen found, as api.md has it; `meaning`, `message`, `places` and `contacts` are additive."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from assistant.safety.screen import Finding, Place, Screened


def red_flag_fields(screened: Screened, messages: Sequence[int] = (0,)) -> dict[str, Any]:
    """The `red_flags` object. `messages` are the indices, in the request, of the texts that were screened."""
    return {
        "screened": screened.is_whole,
        "reason": screened.reason,
        "rules": screened.version,
        "findings": [_finding_fields(finding, messages) for finding in screened.findings],
    }


def _finding_fields(finding: Finding, messages: Sequence[int]) -> dict[str, Any]:
    """`start` and `end` are those of the words that came last in the conversation: in `message`."""
    latest = max(place.text for place in finding.places)
    shown = min((place for place in finding.places if place.text == latest), key=lambda place: place.start)
    return {
        "rule": finding.rule.id,
        "severity": finding.rule.severity,
        "meaning": finding.rule.meaning,
        "source": f"{finding.rule.source} ({finding.rule.date})",
        **_place_fields(shown, messages),
        "places": [_place_fields(place, messages) for place in finding.places],
        "contacts": [asdict(contact) for contact in finding.contacts] if finding.rule.contacts else None,
    }


def _place_fields(place: Place, messages: Sequence[int]) -> dict[str, int]:
    return {"message": messages[place.text], "start": place.start, "end": place.end}

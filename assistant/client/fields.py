"""What a server says, read once as it comes: whatever is shown of it later is then known to be what it is shown as."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args

from assistant.client.answer import Versions
from assistant.knowledge.citations import Check, Status
from assistant.knowledge.claims.support import Reason
from assistant.knowledge.evidence import Evidence
from assistant.knowledge.library import LibraryPassage
from assistant.safety.views import status

FAULTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading raises where the fields are those of another kind of server."""
_MOST = 1e15  # above it no figure of an answer is true, and some cannot be written
_FIGURES = ("time_to_first_token_s", "decode_tokens_per_s", "joules", "watts", "tokens_per_joule")


def figure(told: object) -> float | None:
    """A finite number; None where it is anything else."""
    if isinstance(told, int | float) and not isinstance(told, bool) and abs(told) < _MOST:
        return told
    return None


def whole(told: object) -> int:
    """A number of things or a place, from 0. Raises one of `FAULTS` where it is none."""
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told < _MOST:
        raise ValueError("no whole number")
    return told


def read_check(content: Mapping[str, Any]) -> Check:
    """A check. Raises one of `FAULTS`."""
    check = Check(**{**content, "cites": tuple(content["cites"]), "reasons": tuple(content["reasons"])})
    _need(whole(check.start) <= whole(check.end) and check.by in {"model", "host"})
    _need(check.status in get_args(Status) and all(reason in get_args(Reason) for reason in check.reasons))
    for number in check.cites:
        whole(number)
    return check


def read_source(content: Mapping[str, Any]) -> LibraryPassage:
    """A passage. Raises one of `FAULTS`."""
    return LibraryPassage(**{each.name: str(content[each.name]) for each in fields(LibraryPassage)})


def read_versions(content: Mapping[str, Any]) -> Versions:
    """What an answer was made with. Raises one of `FAULTS`."""
    libraries, left_out = (
        {str(name): str(told) for name, told in content[which].items()} for which in ("libraries", "left_out")
    )
    return Versions(str(content["bedside"]), str(content["model_sha256"]), libraries, left_out)


def read_usage(content: Mapping[str, Any]) -> dict[str, Any]:
    """A usage block; of another kind of server it has no `bedside` of its own. Raises one of `FAULTS`."""
    whole(content.get("total_tokens", 0))
    if "bedside" in content:
        ours = content["bedside"]
        _need(all(ours[name] is None or figure(ours[name]) is not None for name in _FIGURES))
        _need(all(ours[name] is None or isinstance(ours[name], str) for name in ("finish_reason", "scope", "kind")))
        is_measured = all(ours[name] is not None for name in ("watts", "tokens_per_joule", "scope"))
        _need(ours["joules"] is None or is_measured)
    return dict(content)


def check_fields(told: Mapping[str, Any]) -> None:
    """All fields of an answer but its findings, which belong to its texts. Raises one of `FAULTS`."""
    for name in told.keys() & _READERS.keys():
        _READERS[name](told[name])


def _need(holds: bool) -> None:
    if not holds:
        raise ValueError("fields of another kind of server")


_READERS: dict[str, Callable[[Any], object]] = {
    "sources": lambda told: [read_source(each) for each in told],
    "red_flags": status,
    "evidence": lambda told: _need(told in get_args(Evidence)),
    "notice": lambda told: _need(told is None or isinstance(told, str)),
    "versions": read_versions,
    "dropped_messages": whole,
}

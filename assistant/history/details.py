"""What came with an answer, for reading: red flags, sources, sentences that no source supports.

A history may have been brought in from anywhere: nothing is taken to be there, or to be of its type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from assistant.history.conversation import Message


def entries(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in a list, which may be absent."""
    value = fields.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def red_flags(message: Message) -> list[str]:
    """What each red flag means, and who says so."""
    flags = message.details.get("red_flags")
    findings = entries(flags, "findings") if isinstance(flags, dict) else []
    return [f"{finding.get('meaning') or finding.get('rule')} ({finding.get('source')})" for finding in findings]


def verdicts(message: Message) -> list[tuple[int, int, str]]:
    """Start, end and verdict of each sentence that no source supports, in the order of the text."""
    found = []
    for check in entries(message.details, "checks"):
        start, end, status = check.get("start"), check.get("end"), check.get("status")
        if status in ("unsupported", "uncited") and type(start) is int and type(end) is int and 0 <= start < end:
            reasons = check.get("reasons")
            why = ", ".join(map(str, reasons)) if isinstance(reasons, list) else ""
            found.append((start, min(end, len(message.text)), f"{status}: {why}" if why else str(status)))
    return sorted(found)


def doubtful(message: Message) -> list[tuple[str, str]]:
    """Each sentence that no source supports, and its verdict."""
    return [(message.text[start:end], verdict) for start, end, verdict in verdicts(message)]


def made_with(message: Message) -> Iterator[tuple[str, str]]:
    """What the answer was made with, and its version: the model's file, each library, the program."""
    versions = message.details.get("versions")
    if not isinstance(versions, dict):
        return
    libraries = versions.get("libraries")
    found = [("Model sha256", versions.get("model_sha256"))]
    found += [(f"Library {name}", told) for name, told in libraries.items()] if isinstance(libraries, dict) else []
    yield from ((label, str(told)) for label, told in [*found, ("Bedside", versions.get("bedside"))] if told)


def evidence(message: Message) -> str:
    """What was judged of the answer; empty where nothing was. It comes with the first words, and holds for all of them only."""
    told = message.details.get("evidence")
    if not told:
        return ""
    return str(told) if message.state == "complete" else "not judged as a whole"


def source_line(source: Mapping[str, Any]) -> str:
    """A source's number, and where it is from: title, section, date, licence, id."""
    title = ": ".join(str(source[name]) for name in ("title", "section") if source.get(name))
    rest = "; ".join(str(source[name]) for name in ("date", "licence", "id") if source.get(name))
    return f"[{source.get('n', '?')}] {title}" + (f" ({rest})" if rest else "")

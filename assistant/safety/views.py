"""Red flags in words for a terminal or a pipe: nothing is said by colour alone."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from assistant.plaintext import plain_line
from assistant.safety.contacts import FILE_NAME

_MOST_QUOTED = 60
CAVEAT = "Words compared with fixed rules, not a diagnosis; what is not listed here is not excluded."


class Line(NamedTuple):
    """A line, how it looks where looks exist, and what its continuation begins with."""

    text: str
    style: str = ""
    indent: str = ""


def finding_lines(flags: Mapping[str, Any], texts: Sequence[tuple[str, str]]) -> Iterator[Line]:
    """The findings of a `red_flags` object, none where there are none. `texts`: of each message its name and its content."""
    findings = flags["findings"]
    for finding in findings:
        yield Line(
            f"!! {plain_line(finding['severity']).upper()}: {plain_line(finding['meaning'])}", "bold reverse", "   "
        )
        yield Line(f"   {_quotes(finding, texts)}", indent="   ")
        yield Line(f"   {plain_line(finding['source'])} · rule {plain_line(finding['rule'])}", "dim", "   ")
        yield from _contact_lines(finding["contacts"])
    if findings:
        yield Line(f"   {CAVEAT}", indent="   ")


def wrapped(line: Line, width: int | None) -> list[str]:
    """The line broken between words at `width` columns; None leaves it whole."""
    if width is None:
        return [line.text]
    return textwrap.wrap(line.text, width, subsequent_indent=line.indent) or [""]


def _contact_lines(contacts: Sequence[Mapping[str, str]] | None) -> Iterator[Line]:
    """The operator's numbers, or that there are none; nothing for a rule that is shown without (None)."""
    if contacts is not None and not contacts:
        yield Line(f"   no local numbers set: see {FILE_NAME} in the README", indent="   ")
    for contact in contacts or ():
        hours = f", {plain_line(contact['hours'])}" if contact["hours"] else ""
        yield Line(f"   call {plain_line(contact['name'])}: {plain_line(contact['number'])}{hours}", "bold", "   ")


def status(flags: Mapping[str, Any]) -> str:
    """In one line whether the text was screened, and what came of it."""
    count = len(flags["findings"])
    found = f"{count} found, see above" if count else "none found, which excludes nothing"
    rules = f"rules of {plain_line(str(flags['rules']))}"
    if flags["screened"]:
        return f"{found} ({rules})"
    return f"not fully screened - {plain_line(str(flags['reason']))}; {found} ({rules})"


def _quotes(finding: Mapping[str, Any], texts: Sequence[tuple[str, str]]) -> str:
    quoted = []
    for place in finding["places"]:
        name, content = texts[place["message"]]
        words = textwrap.shorten(plain_line(content[place["start"] : place["end"]]), _MOST_QUOTED, placeholder=" …")
        quoted.append(f"“{words}”{f' ({name})' if name else ''}")
    return " + ".join(quoted)
